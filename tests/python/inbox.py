"""Publishes the lines of a file to NATS as a service does: `inbox.py URL FILE [USER PASSWORD]`.

Each line is JSON: {"subject", "headers": {...}, "text" or "base64"}. Each message is sent again until
its acknowledgement comes, so it is stored at least once. Says `stored N` now and then, and at the end
`done N duplicates D`.
"""

import asyncio
import base64
import json
import sys

import nats
from nats.errors import Error


async def stored(js, line):
    message = json.loads(line)
    payload = message.get("text", "").encode() or base64.b64decode(message.get("base64", ""))
    while True:
        try:
            return await js.publish(
                message["subject"], payload, timeout=3, headers=message.get("headers") or None
            )
        except (Error, asyncio.TimeoutError, OSError) as error:
            print(f"again {type(error).__name__}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.05)


async def main():
    url, file, *login = sys.argv[1:]
    who = {"user": login[0], "password": login[1]} if login else {}
    client = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet, **who
    )
    js = client.jetstream()
    with open(file, encoding="utf-8") as given:
        lines = given.read().splitlines()
    done = duplicates = 0
    for begin in range(0, len(lines), 200):
        acks = await asyncio.gather(*(stored(js, line) for line in lines[begin : begin + 200]))
        done += len(acks)
        duplicates += sum(bool(ack.duplicate) for ack in acks)
        print(f"stored {done}", flush=True)
    print(f"done {done} duplicates {duplicates}", flush=True)
    await client.close()


async def quiet(_error):
    """A connection that is cut is made again; the acknowledgements tell what was stored."""


asyncio.run(main())
