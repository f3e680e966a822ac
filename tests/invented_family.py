"""How an invented old interface frames its messages and says success, failure and doubt: the head of a dialect's table."""

FRAME = """
[frame]
kind = "xml"
charset = "utf-8"
code = "tree.no"
ask_text = "body"
tell_text = "body"
ask_root = "ask"
tell_root = "tell"
[success]
at = "tree.code"
is = "0"
[failure]
"tree.code" = "1"
"tree.text" = "{text}"
[unknown]
"tree.code" = "2"
"tree.text" = "{text}"
"""
