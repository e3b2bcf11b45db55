"""Publishes a card's move to NATS, and tells what the inbox has stored.

    publish.py STREAM CARD COLUMN
"""

import asyncio
import json
import os
import sys
from datetime import datetime, timezone

import nats


async def main(stream, card, column):
    client = await nats.connect(
        os.environ.get("TAKT_NATS", "nats://127.0.0.1:4222"),
        user="publisher",
        password=os.environ["TAKT_NATS_PUBLISHER_PASSWORD"],
    )
    now = datetime.now(timezone.utc).isoformat()
    # Made once: whoever tries again sends the same id, time and data, so that it counts once.
    event = {
        "specversion": "1.0",
        "id": f"{card}/{column}/{now}",
        "source": "/examples/python",
        "type": "dev.takt.report.card.v1",
        "time": now,
        "data": {"card": card, "column": column},
    }
    stored = await client.jetstream().publish(f"takt.in.{stream}.card", json.dumps(event).encode())
    print(f"stored in the inbox at {stored.seq}")
    await client.close()


asyncio.run(main(*sys.argv[1:]))
