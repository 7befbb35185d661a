"""
A comparison server for the API: FastAPI on uvicorn (uvloop, httptools), asyncpg and Redis (hiredis), that answers the routes
of bench/api/scenario.json. Written as well as one can: PostgreSQL builds the JSON of an answer, asyncpg prepares every
statement, one query a request, keys are looked up and known for ten seconds, answers are kept in Redis for a minute and
dropped by their patient, one read at a time per answer, audit rows are committed many at once before the answers leave.
Every answer goes out as the bytes that it is: no model is built or encoded on the way.

Started by the benchmark: answers {"type": "ready", "port": N} on standard output, ends when standard input does.
"""

import argparse
import asyncio
import gc
import hashlib
import json
import re
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import List, Literal, Optional

import asyncpg
import uvicorn
import uvloop
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from pydantic import BaseModel, Field

BACKLOG = 1024
CONNECTIONS = 6
KNOWN_S = 10
KEPT_S = 60
WORD = re.compile(r"\w+")

STATEMENTS = {
    name: text if isinstance(text, str) else "\n".join(text)
    for name, text in json.loads(
        (Path(__file__).parent.parent / "clinic-statements.json").read_text()
    ).items()
}


class Person:
    __slots__ = ("id", "org")

    def __init__(self, row):
        self.id = row["id"]
        self.org = row["org_id"]


class Audit:
    """Collects rows while the insert before is under way; whoever records waits for the commit."""

    def __init__(self, pool):
        self.pool = pool
        self.rows = []
        self.waiters = []
        self.is_writing = False

    def record(self, person, action, path, patients, status):
        waiter = asyncio.get_running_loop().create_future()
        self.rows.append((person.org, person.id, action, path, patients, status, uuid.uuid4()))
        self.waiters.append(waiter)
        if not self.is_writing:
            self.is_writing = True
            asyncio.ensure_future(self.write())
        return waiter

    async def write(self):
        await asyncio.sleep(0)
        while self.rows:
            rows, waiters = self.rows, self.waiters
            self.rows, self.waiters = [], []
            try:
                await self.pool.execute(STATEMENTS["audit"], *(list(column) for column in zip(*rows)))
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
            except Exception as error:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(error)
        self.is_writing = False


class Answers:
    """Reads an answer by one query, or from Redis; several who ask at once for the same read it once."""

    def __init__(self, pool, redis):
        self.pool = pool
        self.redis = redis
        self.under_way = {}

    async def read(self, tag, key, name, *values):
        if self.redis is None:
            return await self.query(name, *values)
        name_in_redis = f"a:{tag}"
        kept = await self.redis.hget(name_in_redis, key)
        if kept is not None:
            about, _, body = kept.partition(b"\n")
            return body, about.decode()
        flight = (tag, key)
        task = self.under_way.get(flight)
        if task is None:
            task = asyncio.ensure_future(self.fill(name_in_redis, key, name, *values))
            self.under_way[flight] = task
            task.add_done_callback(lambda _: self.under_way.pop(flight, None))
        return await task

    async def fill(self, name_in_redis, key, name, *values):
        found = await self.query(name, *values)
        if found is not None:
            body, about = found
            pipe = self.redis.pipeline(transaction=False)
            pipe.hset(name_in_redis, key, about.encode() + b"\n" + body)
            pipe.expire(name_in_redis, KEPT_S)
            await pipe.execute()
        return found

    async def query(self, name, *values):
        row = await self.pool.fetchrow(STATEMENTS[name], *values)
        if row is None:
            return None
        about = row.get("patients")
        return row["body"].encode(), ",".join(about) if about is not None else row.get("patient_id") or ""

    async def end(self, *tags):
        if self.redis is not None:
            await self.redis.delete(*(f"a:{tag}" for tag in tags))


class Search(BaseModel):
    text: str = Field(min_length=1, max_length=120)


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=20000)


class Annotation(BaseModel):
    kind: Literal["note", "task", "event", "artefact"]
    fromUs: int
    toUs: Optional[int] = None
    text: str = Field(max_length=2000)


class Consent(BaseModel):
    purpose: Literal["care", "recording", "research", "teaching", "sharing"]
    decision: Literal["granted", "withdrawn"]


def create_app(pool, redis):
    app = FastAPI(openapi_url=None)
    audit = Audit(pool)
    answers = Answers(pool, redis)
    known = {}

    async def signed_in(authorization: str = Header("")):
        now = time.monotonic()
        found = known.get(authorization)
        if found is not None and now - found[1] < KNOWN_S:
            return found[0]
        key = authorization[7:] if authorization.startswith("Bearer ") else ""
        row = await pool.fetchrow(STATEMENTS["sign-in"], hashlib.sha256(key.encode()).digest())
        if row is None:
            raise HTTPException(401, "the key is unknown")
        person = Person(row)
        known[authorization] = (person, now)
        return person

    async def answer(found, person, action, path, about=None, status=200):
        if found is None:
            await audit.record(person, action, path, about or "", 404)
            raise HTTPException(404, "there is no such thing")
        body, patients = found
        await audit.record(person, action, path, about or patients, status)
        return Response(body, status_code=status, media_type="application/json")

    @app.get("/v1/patients/{patient}")
    async def patient_page(patient: uuid.UUID, person: Person = Depends(signed_in)):
        id = str(patient)
        found = await answers.read(id, "page", "patient-page", id, person.org)
        return await answer(found, person, "patient-page", id, id)

    @app.get("/v1/patients")
    async def patient_list(limit: int = Query(50, ge=1, le=200), person: Person = Depends(signed_in)):
        found = await answers.read(f"patients:{person.org}", str(limit), "patient-list", person.org, limit)
        return await answer(found, person, "patient-list", "")

    @app.get("/v1/sessions")
    async def session_list(limit: int = Query(50, ge=1, le=200), person: Person = Depends(signed_in)):
        found = await answers.read(f"sessions:{person.org}", str(limit), "session-list", person.org, limit)
        return await answer(found, person, "session-list", "")

    @app.post("/v1/search")
    async def search(body: Search, person: Person = Depends(signed_in)):
        found = await answers.query("search", person.org, body.text.lower())
        return await answer(found, person, "search", "")

    @app.get("/v1/sessions/{session}/summary")
    async def session_summary(session: uuid.UUID, person: Person = Depends(signed_in)):
        id = str(session)
        found = await answers.read(id, "summary", "session-summary", id, person.org)
        return await answer(found, person, "session-summary", id)

    @app.get("/v1/patients/{patient}/progress")
    async def progress(
        patient: uuid.UUID,
        metric: List[str] = Query(...),
        limit: int = Query(50, ge=1, le=200),
        person: Person = Depends(signed_in),
    ):
        id = str(patient)
        key = f"progress?{','.join(metric)}&{limit}"
        found = await answers.read(id, key, "progress", id, person.org, metric, limit)
        return await answer(found, person, "progress", id, id)

    @app.post("/v1/patients/{patient}/notes")
    async def note(patient: uuid.UUID, body: Note, person: Person = Depends(signed_in)):
        id = str(patient)
        words = list(dict.fromkeys(WORD.findall(body.text.lower())))[:64]
        found = await answers.query("note", id, person.org, str(uuid.uuid4()), body.text, person.id, words)
        return await answer(found, person, "note", id, id, 201)

    @app.post("/v1/sessions/{session}/annotations")
    async def annotation(session: uuid.UUID, body: Annotation, person: Person = Depends(signed_in)):
        id = str(session)
        found = await answers.query(
            "annotation", id, person.org, str(uuid.uuid4()), body.kind, body.fromUs, body.toUs, body.text, person.id)
        return await answer(found, person, "annotation", id, None, 201)

    @app.post("/v1/patients/{patient}/consents")
    async def consent(patient: uuid.UUID, body: Consent, person: Person = Depends(signed_in)):
        id = str(patient)
        found = await answers.query(
            "consent", id, person.org, str(uuid.uuid4()), body.purpose, body.decision, person.id)
        await answers.end(id, f"patients:{person.org}")
        return await answer(found, person, "consent", id, id, 201)

    return app


def wait_for_end(server):
    for _ in sys.stdin:
        pass
    server.should_exit = True
    server.force_exit = True


class PlainConnection(asyncpg.Connection):
    """Nothing here changes a connection, so nothing has to be put back: that spares a statement for each request."""

    def get_reset_query(self):
        return ""


async def set_up(connection):
    # Ids come and go as text, as in every other peer.
    await connection.set_type_codec("uuid", encoder=str, decoder=str, schema="pg_catalog")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--redis")
    options = parser.parse_args()
    pool = await asyncpg.create_pool(
        options.database, min_size=CONNECTIONS, max_size=CONNECTIONS, init=set_up,
        connection_class=PlainConnection, server_settings={"jit": "off"})
    redis = None
    if options.redis is not None:
        from redis import asyncio as aioredis

        redis = aioredis.from_url(options.redis)
        await redis.ping()
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(pool, redis), loop="none", http="httptools", access_log=False, log_level="critical",
        lifespan="off", backlog=BACKLOG, timeout_keep_alive=72)
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, wait_for_end, server)
    gc.collect()
    gc.freeze()
    print(json.dumps({"type": "ready", "port": listener.getsockname()[1]}), flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
