"""Reads the log as a subscriber does, with nats-py and no Takt code: `log.py URL [STREAM]`.

Prints the CloudEvents of one value stream, or of all with the bookkeeping, to the log's present end.
"""

import asyncio
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def main():
    url, *stream = sys.argv[1:]
    client = await nats.connect(url)
    js = client.jetstream()
    subject = f"takt.log.{stream[0]}.>" if stream else "takt.log.>"
    last = (await js.stream_info("TAKT_LOG")).state.last_seq
    config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=1)
    log = await js.subscribe(subject, ordered_consumer=True, config=config)
    at = 0
    while at < last:
        message = await log.next_msg(timeout=10)
        at = message.metadata.sequence.stream
        print(message.data.decode())
        if message.metadata.num_pending == 0:
            break
    await client.close()


asyncio.run(main())
