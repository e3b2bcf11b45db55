"""A stranger's client: works the board and the Andon, and watches while the server is killed.

    stranger.py ADDRESS

Says `wrote N` after every acknowledged command, so that the one who kills knows when to; a line on
stdin ends it. Then every event must have been seen once and in order.
"""

import json
import sys
import threading

import grpc

from takt import Takt, Watcher

SERVICES = ("StreamService", "BoardService", "AndonService", "EventService", "AdminService")


def work_the_board(takt):
    takt.call("StreamService", "CreateStream", stream="shop", title="Web shop", actor="ann")
    for order, (column, kind) in enumerate([("Todo", "queue"), ("Doing", "active"), ("Done", "done")]):
        takt.call("BoardService", "SetColumn", stream="shop", column=column, kind=kind, order=order)
    for card in ("C-1", "C-2"):
        added = takt.call("BoardService", "AddCard", stream="shop", card=card, title="A card")
        assert added.card == card and added.sequence > 0, added
    moved = takt.call("BoardService", "MoveCard", stream="shop", card="C-1", column="Doing")
    board = takt.call("BoardService", "GetBoard", stream="shop", min_sequence=moved.sequence)
    assert {card.card: card.column for card in board.cards} == {"C-1": "Doing", "C-2": "Todo"}, board
    assert [column.column for column in board.columns] == ["Todo", "Doing", "Done"], board


def work_the_andon(takt):
    pulled = takt.call("AndonService", "Pull", stream="shop", summary="the build is red", actor="ann")
    stands = {"stream": "shop", "min_sequence": pulled.sequence}
    assert takt.call("AndonService", "Check", **stands).stopped
    try:
        takt.call("BoardService", "MoveCard", stream="shop", card="C-1", column="Done")
        raise AssertionError("a card went into done past a stopped line")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert any("andon" in it.remedy for it in takt.details(error)), takt.details(error)
    receipt = takt.call("AndonService", "Acknowledge", stream="shop", alert=pulled.alert, actor="bob")
    found = takt.call("AndonService", "GetAlert", stream="shop", alert=pulled.alert,
                      min_sequence=receipt.sequence).alert
    assert found.acknowledged_by == "bob" and found.acknowledged_until.seconds > 0, found
    receipt = takt.call("AndonService", "Resolve", stream="shop", alert=pulled.alert, category="fixed",
                        cause="a typo", countermeasure="a test", actor="bob")
    stands["min_sequence"] = receipt.sequence
    assert not takt.call("AndonService", "Check", **stands).stopped
    takt.call("BoardService", "MoveCard", stream="shop", card="C-1", column="Done")


class Writer(threading.Thread):
    """Moves cards of its own through the board until it is told to stop."""

    def __init__(self, takt):
        super().__init__(daemon=True)
        self.takt, self.stopping, self.acknowledged, self.fault = takt, threading.Event(), [], None

    def run(self):
        try:
            number = 0
            while not self.stopping.is_set():
                number += 1
                self.work(f"W-{number}")
        except BaseException as error:
            self.fault = error
            raise

    def work(self, card):
        fields = {"stream": "shop", "card": card}
        self.write("AddCard", idempotency_key=f"{card}/add", title=card, column="Todo", **fields)
        for column in ("Doing", "Done"):
            self.write("MoveCard", idempotency_key=f"{card}/{column}", column=column, **fields)

    def write(self, method, **fields):
        answer = self.takt.patiently("BoardService", method, **fields)
        self.acknowledged.append((answer.sequence, fields["card"], fields["column"]))
        print(f"wrote {len(self.acknowledged)}", flush=True)


def read(takt, stream):
    events = takt.call("EventService", "Read", stream=stream, **{"from": 1})
    return [(event.sequence, bytes(event.event)) for event in events]


def main(address):
    takt = Takt(address).learn(*SERVICES)
    work_the_board(takt)
    work_the_andon(takt)
    middle = takt.call("AdminService", "GetStatus").head
    watchers = [Watcher(Takt(address, takt), stream, start)
                for stream, start in (("", 1), ("", middle), ("shop", 1), ("shop", middle))]
    writer = Writer(Takt(address, takt))
    for thread in (*watchers, writer):
        thread.start()
    sys.stdin.readline()
    writer.stopping.set()
    writer.join(timeout=120)
    assert not writer.is_alive() and writer.fault is None, writer.fault

    everything, own = read(takt, ""), read(takt, "shop")
    head = everything[-1][0]
    assert [sequence for sequence, _ in everything] == list(range(1, head + 1))
    for watcher, (log, start) in zip(watchers, ((everything, 1), (everything, middle), (own, 1), (own, middle))):
        wanted = [entry for entry in log if entry[0] >= start]
        # What comes after the last look is not missed; it is only not compared.
        seen = [entry for entry in watcher.reach(wanted[-1][0]) if entry[0] <= wanted[-1][0]]
        assert seen == wanted, f"`{watcher.stream}` from {start}: {len(seen)} seen, {len(wanted)} in the log"
    by_sequence, counts = dict(own), {}
    for event in map(json.loads, by_sequence.values()):
        data = event["data"]
        at = (data.get("card"), data.get("column"))
        if event["type"].split(".")[3] in ("card_added", "card_moved"):
            counts[at] = counts.get(at, 0) + 1
    for sequence, card, column in writer.acknowledged:
        # A gate that was passed is recorded beside the move.
        near = [json.loads(by_sequence[it])["data"] for it in (sequence, sequence - 1) if it in by_sequence]
        assert any(it.get("card") == card and it.get("column") == column for it in near), (sequence, card)
        assert counts[card, column] == 1, f"`{card}` came {counts[card, column]} times to `{column}`"
    print(json.dumps({"head": head, "acknowledged": len(writer.acknowledged),
                      "breaks": [watcher.breaks for watcher in watchers]}), flush=True)


main(sys.argv[1])
