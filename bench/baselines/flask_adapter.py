"""A hospital's own adapter on Flask: gunicorn, 2 processes of 32 threads, a kept-alive session per thread."""

from __future__ import annotations

import os
import threading

import requests
from flask import Flask, Response, request

from bench.baselines import messages
from bench.baselines.journal import opened

CENTRE = os.environ["BENCH_CENTRE"]
app = Flask(__name__)
journal = opened()
own = threading.local()


def post(body: bytes) -> bytes:
    session = getattr(own, "session", None)
    if session is None:
        session = own.session = requests.Session()
        session.trust_env = False
    reply = session.post(CENTRE, data=body, headers={"Content-Type": "application/json"}, timeout=30)
    reply.raise_for_status()
    return bytes(reply.content)


@app.post("/fsi/api")
def national() -> Response:
    msgid = messages.new_msgid()
    asked, body = messages.from_json(request.get_data(), msgid)
    journal.write(msgid, "INTENT", body)
    reply = post(body)
    journal.write(msgid, "REPLY", reply)
    return Response(messages.to_json(reply, asked), mimetype="application/json")


@app.post("/his/guangdong-soap")
def soap() -> Response:
    msgid = messages.new_msgid()
    asked, body = messages.from_soap(request.get_data(), msgid)
    journal.write(msgid, "INTENT", body)
    reply = post(body)
    journal.write(msgid, "REPLY", reply)
    return Response(messages.to_soap(reply, asked), mimetype="text/xml")
