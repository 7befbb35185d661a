"""
A comparison server: FastAPI, uvicorn (uvloop, websockets), asyncpg. It speaks as much of the device and viewer
protocols as the benchmark's generator and viewer need, and stores with one binary COPY a flush. It acknowledges when a
flush begins, not after its commit, and keeps no guard against duplicates.

Started by the benchmark: answers {"type": "ready", "port": N} on standard output, ends when standard input does.
"""

import argparse
import asyncio
import gc
import json
import socket
import struct
import sys
import time
import uuid

import asyncpg
import numpy
import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

FLUSH_SECONDS = 0.25
FLUSH_READINGS = 500
HEARTBEAT_MS = 5_000
ENDLESS = 2**52
AXES = 9
MESSAGE_HEADER_BYTES = 16
FRAME_HEADER = struct.Struct("<HHHHQqII")
SEGMENT = struct.Struct("<HHIqq")
CHUNK_COLUMNS = ("stream_id", "epoch", "first_seq", "first_us", "last_us", "n", "segments", "data")
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"

# One row of a binary COPY: the number of columns, then each value behind its length. All big endian.
ROW = numpy.dtype(
    [("columns", ">i2"), ("id_length", ">i4"), ("id", "V16"), ("epoch_length", ">i4"), ("epoch", ">i8"),
     ("seq_length", ">i4"), ("seq", ">i8"), ("us_length", ">i4"), ("us", ">i8")]
    + [item for axis in range(AXES) for item in ((f"length{axis}", ">i4"), (f"axis{axis}", ">f4"))]
)


class Stream:
    __slots__ = ("connection", "ref", "id", "epoch", "frames", "count", "next")

    def __init__(self, connection, ref, stream_id, epoch):
        self.connection = connection
        self.ref = ref
        self.id = stream_id
        self.epoch = epoch
        self.frames = []
        self.count = 0
        self.next = 0


class Store:
    """Collects frames and writes all streams' frames with one COPY when a stream has enough or time is up."""

    def __init__(self, pool, layout):
        self.pool = pool
        self.layout = layout
        self.dirty = []
        self.full = asyncio.Event()

    def add(self, stream, frame, count):
        if not stream.frames:
            self.dirty.append(stream)
        stream.frames.append(frame)
        stream.count += count
        if stream.count >= FLUSH_READINGS:
            self.full.set()

    async def run(self):
        while True:
            try:
                await asyncio.wait_for(self.full.wait(), FLUSH_SECONDS)
            except asyncio.TimeoutError:
                pass
            self.full.clear()
            await self.flush()

    async def flush(self):
        streams, self.dirty = self.dirty, []
        if not streams:
            return
        batch = []
        acks = {}
        for stream in streams:
            batch.append((stream, stream.frames))
            last = stream.frames[-1]
            stream.next = last[0] + last[1]
            stream.frames = []
            stream.count = 0
            acks.setdefault(stream.connection, []).append(
                {"ref": stream.ref, "next": stream.next, "ranges": []}
            )
        for connection, entries in acks.items():
            message = {"type": "ack", "streams": entries, "credit": {"durable": ENDLESS, "live": ENDLESS}}
            try:
                await connection.send_text(json.dumps(message))
            except Exception:
                pass
        if self.layout == "chunks":
            records = [chunk_of(stream, frames) for stream, frames in batch]
            await self.pool.copy_records_to_table("peer_chunk", records=records, columns=CHUNK_COLUMNS)
        else:
            await self.pool.copy_to_table("peer_reading", source=rows_of(batch), format="binary")


def chunk_of(stream, frames):
    """One row of kymo.chunk's shape: see src/store/migrations."""
    count = 0
    segments = []
    for _, n, first_us, period_ns, arrival_us, _ in frames:
        count += n
        segments.append(SEGMENT.pack(n, 0, period_ns, first_us, arrival_us))
    last = frames[-1]
    last_us = last[2] + (last[1] - 1) * last[3] // 1000
    return (stream.id, stream.epoch, frames[0][0], frames[0][2], last_us, count, b"".join(segments),
            b"".join([frame[5] for frame in frames]))


async def rows_of(batch):
    """A row a reading, packed by numpy: one pass a column, none in Python a reading."""
    total = sum(frame[1] for _, frames in batch for frame in frames)
    rows = numpy.empty(total, ROW)
    rows["columns"] = 4 + AXES
    rows["id_length"] = 16
    rows["epoch_length"] = rows["seq_length"] = rows["us_length"] = 8
    at = 0
    payloads = []
    for stream, frames in batch:
        stream_at = at
        for first_seq, n, first_us, period_ns, _, payload in frames:
            steps = numpy.arange(n)
            rows["seq"][at:at + n] = steps + first_seq
            rows["us"][at:at + n] = first_us + (steps * period_ns + 500) // 1000
            payloads.append(payload)
            at += n
        rows["id"][stream_at:at] = numpy.void(stream.id.bytes)
        rows["epoch"][stream_at:at] = stream.epoch
    values = numpy.frombuffer(b"".join(payloads), "<f4").reshape(total, AXES)
    for axis in range(AXES):
        rows[f"length{axis}"] = 4
        rows[f"axis{axis}"] = values[:, axis]
    yield COPY_HEADER + rows.tobytes() + COPY_TRAILER


def create_app(store):
    app = FastAPI()
    viewers = {}

    @app.websocket("/v1/device")
    async def device(connection: WebSocket):
        await connection.accept(subprotocol="kymo.device.v1")
        heartbeat = asyncio.ensure_future(beat(connection))
        streams = {}
        followed = None
        unpack = FRAME_HEADER.unpack_from
        add = store.add
        try:
            while True:
                message = await connection.receive()
                data = message.get("bytes")
                if data is None:
                    if message["type"] == "websocket.disconnect":
                        return
                    session = await control(connection, json.loads(message["text"]), streams)
                    if session is not None:
                        followed = viewers.setdefault(session, set())
                    continue
                arrival_us = time.time_ns() // 1000
                at = MESSAGE_HEADER_BYTES
                for _ in range(data[3]):
                    ref, count, _, _, first_seq, first_us, period_ns, size = unpack(data, at)
                    at += 32 + size
                    add(streams[ref], (first_seq, count, first_us, period_ns, arrival_us, data[at - size:at]), count)
                if followed:
                    for viewer in tuple(followed):
                        await viewer.send_bytes(data)
        except WebSocketDisconnect:
            pass
        finally:
            heartbeat.cancel()

    async def beat(connection):
        while True:
            await asyncio.sleep(HEARTBEAT_MS / 1000)
            await connection.send_text('{"type":"heartbeat"}')

    async def control(connection, message, streams):
        if message["type"] == "hello":
            await connection.send_text(json.dumps({
                "type": "welcome", "version": 1, "incarnation": str(uuid.uuid4()), "generation": 1,
                "serverUs": time.time_ns() // 1000, "heartbeatMs": HEARTBEAT_MS,
                "credit": {"durable": ENDLESS, "live": ENDLESS}}))
        elif message["type"] == "open":
            definition = message["definition"]
            epoch = int.from_bytes(bytes.fromhex(message["epoch"]), "big", signed=True)
            streams[message["ref"]] = Stream(connection, message["ref"], uuid.UUID(definition["stream"]), epoch)
            await connection.send_text(json.dumps(
                {"type": "opened", "ref": message["ref"], "settled": {"next": 0, "ranges": []}}))
            return definition["session"]
        return None

    @app.websocket("/v1/live")
    async def live(connection: WebSocket):
        await connection.accept(subprotocol="kymo.live.v1")
        followed = []
        try:
            await connection.send_text(json.dumps(
                {"type": "welcome", "serverUs": time.time_ns() // 1000, "heartbeatMs": HEARTBEAT_MS}))
            while True:
                message = json.loads(await connection.receive_text())
                if message["type"] == "subscribe":
                    session = message["channel"].split("/")[1]
                    group = viewers.setdefault(session, set())
                    group.add(connection)
                    followed.append(group)
                    await connection.send_text(json.dumps(
                        {"type": "subscribed", "id": message["id"], "channel": message["channel"], "number": 0}))
        except WebSocketDisconnect:
            pass
        finally:
            for group in followed:
                group.discard(connection)

    return app


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--layout", choices=("chunks", "rows"), required=True)
    options = parser.parse_args()
    pool = await asyncpg.create_pool(options.database, min_size=1, max_size=2)
    store = Store(pool, options.layout)
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(store), loop="none", ws="websockets", ws_per_message_deflate=False, ws_ping_interval=None,
        access_log=False, log_level="warning", lifespan="off", backlog=1024)
    server = uvicorn.Server(config)
    flusher = asyncio.ensure_future(store.run())
    flusher.add_done_callback(lambda task: setattr(server, "should_exit", True))
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: setattr(server, "should_exit", True))
    # What start-up allocated will stay: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    print(json.dumps({"type": "ready", "port": listener.getsockname()[1]}), flush=True)
    await server.serve(sockets=[listener])
    if flusher.done():
        # It only ends by an exception: the database refused something.
        flusher.result()
    flusher.cancel()
    await store.flush()
    await pool.close()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
