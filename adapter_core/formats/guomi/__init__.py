"""国密: SM2 signatures and encryption, SM3, SM4, and the envelope some centres wrap messages in.

SM3 and SM4 are OpenSSL's, by `cryptography`.  SM2 needs the extra ``guomi`` (gmssl-pyx).
"""
