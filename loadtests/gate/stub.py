"""A server for the gate's own test: it speaks as much of the API as the generators ask for, at once, late, or wrongly.

`python -m loadtests.gate.stub PORT DELAY_MS FAILING_SHARE`. Nothing is stored; the product is measured elsewhere.
"""

import asyncio
import json
import re
import sys
from random import Random

import uvloop

from loadtests.servers import HOST

TASK = {"id": 1, "title": "A task", "status": "PENDING"}
BODY = json.dumps({"success": True, "data": {"task": TASK, "tasks": [TASK], "token": "none"}}).encode()
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CREATED = (b"POST /api/v1/tasks ", b"POST /api/v1/auth/register ")


def answer(status: int) -> bytes:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return head.encode() + BODY


class Stub:
    def __init__(self, delay_s: float, failing: float) -> None:
        self.delay_s, self.failing = delay_s, failing
        self.random = Random(1)  # noqa: S311 (reproducible, no secret)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if length := LENGTH.search(head):
                    await reader.readexactly(int(length[1]))
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                fails = self.random.random() < self.failing
                writer.write(answer(500 if fails else 201 if head.startswith(CREATED) else 200))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main(port: int, delay_ms: float, failing: float) -> None:
    server = await asyncio.start_server(Stub(delay_ms / 1000, failing).handle, HOST, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
