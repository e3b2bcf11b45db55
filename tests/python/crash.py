"""Writers that keep writing while the server is killed, and remember what was acknowledged.

    crash.py ADDRESS[,ADDRESS] TAKT [NATS]

With several addresses the writers go to one node or the other; with a nats-server one more writer
publishes to the inbox, and what the inbox has stored counts as acknowledged. Says `acked` after every acknowledgement. On the line `check` the writers pause, the log is read from
where it was read last, and everything acknowledged must be in it exactly once, where it was said to
be; then it says `checked HEAD ACKNOWLEDGED` and the writers go on, with a nats-server on the line `go`. On
`done` it ends.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from takt import Takt


class Writers:
    def __init__(self, addresses, takt, nats=None):
        self.addresses, self.takt, self.nats = addresses, takt, nats
        self.first = Takt(addresses[0]).learn("BoardService", "EventService", "AdminService")
        self.lock, self.going = threading.Condition(), True
        self.busy, self.fault = 0, None
        self.acknowledged = {}  # what: its sequence, or None where only its being there was said

    def start(self):
        for number in range(2):
            for work in (self.publish, self.command):
                threading.Thread(target=self.loop, args=(work, number), daemon=True).start()
        threading.Thread(target=self.loop, args=(self.bring_in, 0), daemon=True).start()
        if self.nats:
            threading.Thread(target=self.loop, args=(self.drop_in, 0), daemon=True).start()

    def loop(self, work, number):
        client, turn = Takt(self.addresses[number % len(self.addresses)], self.first), 0
        try:
            while True:
                with self.lock:
                    self.lock.wait_for(lambda: self.going)
                    self.busy += 1
                turn += 1
                work(client, number, turn)
                with self.lock:
                    self.busy -= 1
                    self.lock.notify_all()
        except BaseException as error:
            with self.lock:
                self.fault = self.fault or error
                self.lock.notify_all()
            raise

    def note(self, what, sequence):
        with self.lock:
            known = self.acknowledged.setdefault(what, sequence)
            assert known == sequence, f"{what}: first at {known}, then at {sequence}"
        print("acked", flush=True)

    def publish(self, client, number, turn):
        cards = [f"P{number}-{turn}-{it}" for it in range(random.randint(1, 20))]
        facts = [json.dumps({
            "specversion": "1.0", "id": card, "source": "urn:crash", "time": "2026-03-02T09:00:00Z",
            "type": "dev.takt.report.card.v1", "data": {"card": card, "column": "Inbox"},
        }).encode() for card in cards]
        answer = client.patiently("EventService", "Publish", stream="shop", events=facts)
        assert len(answer.results) == len(facts), answer
        for card, result in zip(cards, answer.results):
            which = result.WhichOneof("result")
            assert which in ("recorded", "duplicate"), result
            self.note((card, "Inbox"), getattr(result, which).sequence)

    def command(self, client, number, turn):
        card = f"K{number}-{turn}"
        for column in ("Todo", "Doing", "Done"):
            method = "AddCard" if column == "Todo" else "MoveCard"
            answer = client.patiently("BoardService", method, stream="shop", card=card, column=column,
                                      idempotency_key=f"{card}/{column}")
            self.note((card, column), answer.sequence)

    def bring_in(self, _client, _number, turn):
        cases = [f"I{turn}-{it}" for it in range(40)]
        columns = ["Todo", "Doing", "Done"]
        steps = "".join(
            f'<event><string key="concept:name" value="{column}"/>'
            f'<date key="time:timestamp" value="2026-01-0{day}T08:00:00Z"/></event>'
            for day, column in enumerate(columns, 1))
        traces = "".join(
            f'<trace><string key="concept:name" value="{case}"/>{steps}</trace>' for case in cases)
        with tempfile.NamedTemporaryFile("w", suffix=".xes") as file:
            file.write(f"<log>{traces}</log>")
            file.flush()
            self.until_it_is_in([self.takt, "import", "xes", file.name, "--done", "Done"])
        for case in cases:
            for column in columns:
                self.note((case, column), None)

    def drop_in(self, _client, _number, turn):
        """Publishes to the inbox by a client that is made for it, as a job in a pipeline does."""
        cards = [f"N{turn}-{it}" for it in range(random.randint(1, 200))]
        asyncio.run(self.dropped_in(cards))
        for card in cards:
            self.note((card, "Inbox"), None)

    async def dropped_in(self, cards):
        import nats

        async def quiet(_error):
            pass

        client = await nats.connect(
            self.nats, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=quiet)
        js = client.jetstream()

        async def one(card):
            fact = json.dumps({
                "specversion": "1.0", "id": card, "source": "urn:crash:in",
                "time": "2026-03-02T09:00:00Z", "type": "dev.takt.report.card.v1",
                "data": {"card": card, "column": "Inbox"},
            }).encode()
            while True:
                try:
                    return await js.publish("takt.in.shop.crash", fact, timeout=2)
                except (nats.errors.Error, asyncio.TimeoutError, OSError):
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(one(card) for card in cards))
        try:
            await client.close()
        except (OSError, asyncio.CancelledError):
            # All is acknowledged; the server was killed while the client said good-bye.
            pass

    def until_it_is_in(self, command):
        environment = os.environ | {"TAKT_SERVER": f"http://{self.addresses[0]}", "TAKT_STREAM": "shop"}
        while True:
            ended = subprocess.run(command, env=environment, capture_output=True, text=True)
            if ended.returncode == 0:
                return
            # The server was gone: the remedy is to import again.
            assert ended.returncode == 3, f"exit {ended.returncode}: {ended.stderr}"
            self.first.wait()

    def pause(self):
        with self.lock:
            self.going = False
            assert self.lock.wait_for(lambda: self.busy == 0 or self.fault, timeout=120), "stuck"
            assert self.fault is None, self.fault

    def go_on(self):
        with self.lock:
            self.going = True
            self.lock.notify_all()


class Log:
    """What has been read of the log so far."""

    def __init__(self, client, inbox):
        self.client, self.inbox, self.last, self.last_id = client, inbox, 0, None
        self.places, self.ids = {}, set()

    def read_on(self):
        asked = {"from": self.last or 1}
        events = self.client.call("EventService", "Read", timeout=120, **asked)
        for event in events:
            one = json.loads(bytes(event.event))
            if event.sequence == self.last:
                assert one["id"] == self.last_id, f"another event stands at {self.last}"
                continue
            assert event.sequence == self.last + 1, f"{event.sequence} follows {self.last}"
            assert one["id"] not in self.ids, f"`{one['id']}` stands twice in the log"
            self.ids.add(one["id"])
            self.last, self.last_id = event.sequence, one["id"]
            kind = one["type"].split(".")[3]
            if kind in ("card_added", "card_moved", "card_reported"):
                what = (one["data"]["card"], one["data"]["column"])
                assert what not in self.places, f"{what} at {self.places[what]} and {event.sequence}"
                self.places[what] = event.sequence
        if not self.inbox:
            # What the inbox has stored is taken in while this is read.
            head = self.client.call("AdminService", "GetStatus").head
            assert self.last >= head or head - self.last < 50, f"read to {self.last} of {head}"

    def read_until(self, acknowledged):
        """What the inbox has stored is in the log a moment later."""
        deadline = time.monotonic() + 60
        self.read_on()
        while not all(what in self.places for what in acknowledged):
            if time.monotonic() > deadline:
                return
            self.read_on()

    def hold(self, acknowledged):
        for what, sequence in acknowledged.items():
            assert what in self.places, f"{what} was acknowledged at {sequence} and is lost"
            # The gate that a card passed is recorded beside its move.
            at = self.places[what]
            assert sequence in (None, at, at + 1), f"{what} was said at {sequence}, stands at {at}"


def main(addresses, takt, nats=None):
    writers = Writers(addresses, takt, nats)
    log = Log(Takt(addresses[0], writers.first), bool(nats))
    writers.start()
    for line in sys.stdin:
        writers.pause()
        log.read_until(writers.acknowledged)
        log.hold(writers.acknowledged)
        print(f"checked {log.last} {len(writers.acknowledged)}", flush=True)
        if line.strip() == "done":
            return
        if nats:
            # While nobody writes, the nodes can be compared.
            assert sys.stdin.readline().strip() == "go"
        writers.go_on()


main(sys.argv[1].split(","), *sys.argv[2:])
