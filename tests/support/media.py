"""A media server's stand-in: it takes TCP connections and sends back what comes in, until the other end closes.

Run as `python -m tests.support.media ADDRESS PORT`; it says `ready`. SIGTERM ends it, and cuts whoever is connected.
"""

from __future__ import annotations

import asyncio
import sys


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _serve(address: str, port: int) -> None:
    server = await asyncio.start_server(_echo, address, port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
