"""Reads all that subscribers were told, with nats-py and no Takt code: `out.py URL`.

Prints one JSON object a message, with its subject, its key and its payload.
"""

import asyncio
import json
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def main():
    client = await nats.connect(sys.argv[1])
    js = client.jetstream()
    count = (await js.stream_info("TAKT_OUT")).state.messages
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    out = await js.subscribe(stream="TAKT_OUT", subject=">", ordered_consumer=True, config=config)
    for _ in range(count):
        message = await out.next_msg(timeout=10)
        key = message.headers["Nats-Msg-Id"]
        said = json.loads(message.data)
        print(json.dumps({"subject": message.subject, "key": key, "said": said}))
    await client.close()


asyncio.run(main())
