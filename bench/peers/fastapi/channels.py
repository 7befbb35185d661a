"""
A comparison server for channels: FastAPI on uvicorn (uvloop, websockets), with the connection manager of FastAPI's own
documentation extended by rooms. A message is encoded once and sent to one subscriber after the other, which costs less
than a task each. With --redis, instances are joined by redis.asyncio publish and subscribe. Nothing is recovered.

Started by the benchmark: answers {"type": "ready", "port": N} on standard output, ends when standard input does.
"""

import argparse
import asyncio
import gc
import json
import socket
import sys

import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

BACKLOG = 4096
REDIS_CHANNEL = "room"


class ConnectionManager:
    def __init__(self):
        self.rooms = {}
        self.redis = None

    def join(self, channel, connection):
        self.rooms.setdefault(channel, set()).add(connection)

    def leave(self, channel, connection):
        room = self.rooms.get(channel)
        if room is not None:
            room.discard(connection)
            if not room:
                del self.rooms[channel]

    async def publish(self, channel, data):
        if self.redis is None:
            await self.deliver(channel, data)
        else:
            await self.redis.publish(REDIS_CHANNEL, json.dumps({"channel": channel, "data": data}))

    async def deliver(self, channel, data):
        text = json.dumps({"type": "message", "channel": channel, "data": data}, separators=(",", ":"))
        for connection in tuple(self.rooms.get(channel, ())):
            try:
                await connection.send_text(text)
            except Exception:
                self.leave(channel, connection)

    async def follow(self, url):
        from redis import asyncio as redis

        self.redis = redis.from_url(url)
        subscriber = self.redis.pubsub()
        await subscriber.subscribe(REDIS_CHANNEL)
        async for message in subscriber.listen():
            if message["type"] == "message":
                publication = json.loads(message["data"])
                await self.deliver(publication["channel"], publication["data"])


def create_app(manager):
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(connection: WebSocket):
        await connection.accept()
        joined = []
        try:
            while True:
                request = json.loads(await connection.receive_text())
                channel = request["channel"]
                if request["type"] == "publish":
                    await manager.publish(channel, request["data"])
                else:
                    manager.join(channel, connection)
                    joined.append(channel)
                    await connection.send_text(
                        json.dumps({"type": "subscribed", "id": request["id"], "channel": channel},
                                   separators=(",", ":")))
        except WebSocketDisconnect:
            pass
        finally:
            for channel in joined:
                manager.leave(channel, connection)

    return app


def read_commands(loop, server):
    for line in sys.stdin:
        if json.loads(line)["type"] == "collect":
            loop.call_soon_threadsafe(collect)
    server.should_exit = True
    server.force_exit = True


def collect():
    gc.collect()
    print('{"type":"collected"}', flush=True)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis")
    options = parser.parse_args()
    manager = ConnectionManager()
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(manager), loop="none", ws="websockets", ws_per_message_deflate=False, access_log=False,
        log_level="critical", lifespan="off", backlog=BACKLOG)
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, read_commands, loop, server)
    if options.redis is not None:
        follower = asyncio.ensure_future(manager.follow(options.redis))
        follower.add_done_callback(lambda task: task.result())
    gc.collect()
    gc.freeze()
    print(json.dumps({"type": "ready", "port": listener.getsockname()[1]}), flush=True)
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
