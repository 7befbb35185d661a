"""A viewer with the library `websockets` (Debian: python3-websockets), as anyone would write it.

Arguments: the address, the messages to send (a JSON list; one that is a list of texts goes as fragments; all but the first
wait until that is subscribed), and how many messages to wait for. Prints what it hears, one JSON text a line, then how the connection closed.
"""

import asyncio
import json
import sys

import websockets


async def main(address, said, wanted):
    async with websockets.connect(address, subprotocols=["kymo.live.v1"]) as socket:
        pong = await socket.ping()
        await asyncio.wait_for(pong, 5)
        heard = 0
        while heard < wanted:
            text = await asyncio.wait_for(socket.recv(), 20)
            kind = json.loads(text)["type"]
            if kind == "heartbeat":
                continue
            heard += 1
            print(text, flush=True)
            if kind == "welcome":
                await socket.send(json.dumps(said[0]))
            elif kind == "subscribed":
                for message in said[1:]:
                    await socket.send(message if isinstance(message, list) else json.dumps(message))
        await socket.close(1000, "done")
    print(json.dumps({"closed": socket.close_code, "subprotocol": socket.subprotocol}), flush=True)


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])))
