"""A viewer with the library `aiohttp` (Debian: python3-aiohttp), as anyone would write it.

Arguments: `socket` or `events`, the address, the messages to send (a JSON list; only a socket sends; all but the first wait
until that is subscribed), and how many messages to wait for. Prints what it hears, one JSON text a line. A key, if the address needs one, is in KEY.
"""

import asyncio
import json
import os
import sys

import aiohttp


async def socket(session, address, said, wanted):
    async with session.ws_connect(address, compress=15) as connection:
        heard = 0
        while heard < wanted:
            text = await connection.receive_str(timeout=20)
            kind = json.loads(text)["type"]
            if kind == "heartbeat":
                continue
            heard += 1
            print(text, flush=True)
            if kind == "welcome":
                await connection.send_json(said[0])
            elif kind == "subscribed":
                for message in said[1:]:
                    await connection.send_json(message)
    print(json.dumps({"closed": connection.close_code}), flush=True)


async def events(session, address, wanted):
    """Server-sent events by the letter of the HTML standard, section 9.2.6, for what a server sends that ends lines with LF."""
    async with session.get(address, headers={"Accept": "text/event-stream"}) as answer:
        fields = {}
        heard = 0
        while heard < wanted:
            line = (await asyncio.wait_for(answer.content.readline(), 20)).decode().rstrip("\n")
            if line == "":
                if "data" in fields:
                    heard += 1
                    print(json.dumps(fields), flush=True)
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")


async def main(kind, address, said, wanted):
    key = os.environ.get("KEY")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        if kind == "socket":
            await socket(session, address, said, wanted)
        else:
            await events(session, address, wanted)


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])))
