"""The process that looks at cameras: orders in on stdin, what was seen out on stdout.

`python -m gateways.rtsp.inspect_worker NICE`, until stdin ends. Packets of an inspection go through
this interpreter and no other. Messages:
    in   length u32 BE, JSON {id, url, username, password, timeout_s, look_s}
    out  two lengths u32 BE, JSON {id, facts}, the keyframe (Annex B, may be empty)
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import traceback
from typing import Any, Final

from camera_registry.inspection.card import Facts
from camera_registry.secret import Secret
from gateways.rtsp.inspect import LookBroken, Looked, inspect

LENGTH: Final = struct.Struct(">I")
REPLY: Final = struct.Struct(">II")


async def look(order: dict[str, Any]) -> Looked:
    password = order["password"]
    return await inspect(
        order["url"],
        username=order["username"],
        password=None if password is None else Secret(password),
        timeout_s=order["timeout_s"],
        look_s=order["look_s"],
    )


async def serve(orders: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
    """Carry orders out side by side until they end; what is under way then is dropped."""
    under_way: set[asyncio.Task[None]] = set()

    async def carry_out(order: dict[str, Any]) -> None:
        try:
            looked = await look(order)
        except Exception:
            # A fault of ours at one camera: the log has its trace, the others go on.
            traceback.print_exc()
            looked = Looked(Facts(failure=LookBroken.code))
        body = json.dumps({"id": order["id"], "facts": looked.facts.values()}).encode()
        keyframe = looked.keyframe or b""
        # One write: answers must not get between each other's parts.
        answers.write(REPLY.pack(len(body), len(keyframe)) + body + keyframe)
        await answers.drain()

    while True:
        try:
            (length,) = LENGTH.unpack(await orders.readexactly(LENGTH.size))
            order = json.loads(await orders.readexactly(length))
        except asyncio.IncompleteReadError:
            break
        task = asyncio.create_task(carry_out(order))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    for task in under_way:
        task.cancel()


async def main() -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(os.dup(1), "wb")
    )
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    await serve(orders, asyncio.StreamWriter(transport, protocol, None, loop))


if __name__ == "__main__":
    os.nice(int(sys.argv[1]))
    asyncio.run(main())
