"""What the accounts of the shipped NATS configuration may do, and what they may not.

    rights.py

Takes the address from TAKT_NATS and the passwords from where the shipped configuration has them.
"""

import asyncio
import os
import time

import nats


class Account:
    """A connection of one user, with what the server has complained of."""

    def __init__(self, user, **options):
        self.user, self.options, self.complaints = user, options, []

    async def __aenter__(self):
        async def complain(error):
            self.complaints.append(str(error).lower())

        name = "SERVER" if self.user == "takt" else self.user.upper()
        self.client = await nats.connect(
            os.environ["TAKT_NATS"], user=self.user,
            password=os.environ[f"TAKT_NATS_{name}_PASSWORD"], error_cb=complain, **self.options)
        return self

    async def __aexit__(self, *_):
        await self.client.close()

    async def complaint(self, wanted):
        """Waits for a complaint of the server, which comes beside the answers."""
        deadline = time.monotonic() + 20
        while not any(wanted in said for said in self.complaints):
            assert time.monotonic() < deadline, f"`{self.user}` met no {wanted}: {self.complaints}"
            await asyncio.sleep(0.01)

    async def refused(self, *subjects):
        """None of these may be published to."""
        for subject in subjects:
            await self.client.publish(subject, b"{}")
            await self.complaint(f'permissions violation for publish to "{subject.lower()}"')

    async def deaf(self, *subjects):
        """None of these may be listened to."""
        for subject in subjects:
            await self.client.subscribe(subject)
            await self.complaint(f'permissions violation for subscription to "{subject.lower()}"')


async def main():
    async with Account("publisher") as publisher:
        stored = await publisher.client.jetstream().publish("takt.in.nobody.card", b"{}")
        assert stored.stream == "TAKT_IN", stored
        await publisher.refused(
            "takt.log.shop.line", "takt.log.shop.board.main", "takt.dead.x", "takt.node.x",
            "takt.cdevents.shop.x", "takt.andon.shop", "$JS.API.STREAM.INFO.TAKT_LOG",
            "$JS.API.STREAM.DELETE.TAKT_LOG", "$JS.API.CONSUMER.CREATE.TAKT_LOG",
            "$KV.TAKT_LEASES.x")
        await publisher.deaf("takt.log.>", "takt.in.>", "takt.node.>", ">")
    async with Account("subscriber", inbox_prefix=b"_INBOX_subscriber") as subscriber:
        log = await subscriber.client.jetstream(prefix="TAKTJS").subscribe(
            "takt.log.shop.>", stream="TAKT_LOG", ordered_consumer=True)
        first = await log.next_msg(timeout=10)
        assert b"dev.takt.stream.created.v1" in first.data, first.data
        await subscriber.refused(
            "takt.log.shop.line", "takt.in.shop.card", "takt.cdevents.shop.x", "takt.node.x",
            "$JS.API.STREAM.DELETE.TAKT_LOG", "$JS.API.STREAM.PURGE.TAKT_LOG",
            "$JS.API.STREAM.UPDATE.TAKT_LOG", "$JS.API.STREAM.MSG.DELETE.TAKT_LOG",
            "$JS.API.CONSUMER.CREATE.TAKT_IN", "$JS.API.STREAM.INFO.TAKT_IN",
            "$JS.API.STREAM.INFO.TAKT_LOG", "$JS.API.DIRECT.GET.TAKT_LOG")
        await subscriber.deaf(
            "takt.log.>", "takt.in.>", "takt.node.>", "takt.andon.shop", "_INBOX.>", ">")
    async with Account("takt") as server:
        await server.refused(
            "$JS.API.STREAM.DELETE.TAKT_LOG", "$JS.API.STREAM.PURGE.TAKT_LOG",
            "$JS.API.STREAM.MSG.DELETE.TAKT_LOG")
    print("as they should be")


asyncio.run(main())
