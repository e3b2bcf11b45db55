"""A fold over `takt events read -o jsonl`, by someone who has read docs/events.md and nothing else.

It works card by card from the end of its story, where the fold in the document goes from its start.
"""

import fractions
import json
import statistics
import sys
from datetime import datetime


def micros(text):
    whole, dot, rest = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**6 + int(rest.ljust(6, "0")[:6] or 0)


def stories(events):
    """Of each card what was seen, as {key: column or None}; of each column its kind."""
    cards, said, told = {}, {}, {}
    for event in events:
        kind, data, board = event["type"], event["data"], event["taktaggregate"]
        key = (micros(event["time"]), event.get("sequence") or "", event["id"])
        if kind == "dev.takt.board.column_set.v1":
            if data.get("kind"):
                said[board, data["column"]] = data["kind"]
        elif kind == "dev.takt.board.column_reported.v1":
            if data.get("kind"):
                told.setdefault((board, data["column"]), []).append((key, data["kind"]))
        elif kind == "dev.takt.board.card_deleted.v1":
            cards.setdefault((board, data["card"]), {})[key] = None
        elif kind in ("dev.takt.board.card_added.v1", "dev.takt.board.card_moved.v1"):
            cards.setdefault((board, data["card"]), {})[key] = data["column"]
        elif kind == "dev.takt.board.card_reported.v1":
            story = cards.setdefault((board, data["card"]), {})
            if data.get("deleted"):
                story[key] = None
            elif data.get("column"):
                story[key] = data["column"]
    kinds = {column: max(reports)[1] for column, reports in told.items()}
    kinds.update(said)
    return cards, kinds


def look(story, is_done):
    """('gone'|'open'|'done', lead time or None, whether it had been done before)."""
    steps = [(key[0], column) for key, column in sorted(story.items())]
    deleted = False
    while steps and steps[-1][1] is None:
        steps.pop()
        deleted = True
    if not steps:
        return "gone", None, False
    if not is_done(steps[-1][1]):
        before = any(is_done(column) for _, column in steps)
        return ("gone" if deleted else "open"), None, before
    entry = len(steps) - 1
    while entry > 0 and is_done(steps[entry - 1][1]):
        entry -= 1
    first = next(at for at, column in steps if column is not None)
    before = any(is_done(column) for _, column in steps[:entry])
    return "done", steps[entry][0] - first, before


def main():
    events = [json.loads(line) for line in sys.stdin]
    cards, kinds = stories(events)
    found = {"completed": 0, "reopened": 0, "open": 0, "reopened_open": 0}
    spans, open_cards = [], []
    for (board, card), story in cards.items():
        state, span, before = look(story, lambda column: column and kinds.get((board, column)) == "done")
        if state == "done":
            found["completed"] += 1
            found["reopened"] += before
            spans.append(span)
        elif state == "open":
            found["open"] += 1
            found["reopened_open"] += before
            open_cards.append(card)
    for name in ("p50", "p85", "p95", "mean"):
        found[name] = None
    if spans:
        exact = [fractions.Fraction(span, 10**6) for span in spans]
        cuts = statistics.quantiles(exact, n=100, method="inclusive") if len(exact) > 1 else exact * 99
        for name, percent in (("p50", 50), ("p85", 85), ("p95", 95)):
            found[name] = float(cuts[percent - 1])
        found["mean"] = float(sum(exact) / len(exact))
    alerts = {}
    for event in events:
        if event["type"] == "dev.takt.andon.pulled.v1":
            alerts[event["data"]["alert"]] = event["data"]["effect"]
        elif event["type"] == "dev.takt.andon.resolved.v1":
            alerts.pop(event["data"]["alert"], None)
    found |= {"open_cards": sorted(open_cards), "open_alerts": sorted(alerts),
              "line_stopped": "stop" in alerts.values()}
    print(json.dumps(found))


main()
