"""A hospital's own adapter on FastAPI: uvicorn, 2 processes, one `httpx.AsyncClient`, the journal in a thread."""

from __future__ import annotations

import asyncio
import os

import httpx
from fastapi import FastAPI, Request, Response

from bench.baselines import messages
from bench.baselines.journal import opened

CENTRE = os.environ["BENCH_CENTRE"]
app = FastAPI()
journal = opened()
client = httpx.AsyncClient(timeout=30, trust_env=False, limits=httpx.Limits(max_connections=256))


async def carried(msgid: str, body: bytes) -> bytes:
    await asyncio.to_thread(journal.write, msgid, "INTENT", body)
    reply = await client.post(CENTRE, content=body, headers={"Content-Type": "application/json"})
    reply.raise_for_status()
    await asyncio.to_thread(journal.write, msgid, "REPLY", reply.content)
    return reply.content


@app.post("/fsi/api")
async def national(request: Request) -> Response:
    msgid = messages.new_msgid()
    asked, body = messages.from_json(await request.body(), msgid)
    return Response(messages.to_json(await carried(msgid, body), asked), media_type="application/json")


@app.post("/his/guangdong-soap")
async def soap(request: Request) -> Response:
    msgid = messages.new_msgid()
    asked, body = messages.from_soap(await request.body(), msgid)
    return Response(messages.to_soap(await carried(msgid, body), asked), media_type="text/xml")
