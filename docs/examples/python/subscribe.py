"""Follows a value stream over NATS, and goes on where it was when it is started again.

    subscribe.py STREAM CHECKPOINT
"""

import asyncio
import json
import os
import pathlib
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


def handle(sequence, event):
    print(sequence, event["type"], event.get("subject", ""), flush=True)


def save(checkpoint, sequence):
    new = checkpoint.with_suffix(".new")
    new.write_text(str(sequence))
    new.replace(checkpoint)


async def main(stream, checkpoint):
    client = await nats.connect(
        os.environ.get("TAKT_NATS", "nats://127.0.0.1:4222"),
        user="subscriber",
        password=os.environ["TAKT_NATS_SUBSCRIBER_PASSWORD"],
        inbox_prefix=b"_INBOX_subscriber",
        max_reconnect_attempts=-1,
    )
    seen = int(checkpoint.read_text()) if checkpoint.exists() else 0
    start = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=seen + 1
    )
    # What is there comes first, then what happens: in order, without a gap, for ever.
    log = await client.jetstream(prefix="TAKTJS").subscribe(
        f"takt.log.{stream}.>", stream="TAKT_LOG", ordered_consumer=True, config=start
    )
    async for message in log.messages:
        sequence = message.metadata.sequence.stream
        handle(sequence, json.loads(message.data))
        save(checkpoint, sequence)


asyncio.run(main(sys.argv[1], pathlib.Path(sys.argv[2])))
