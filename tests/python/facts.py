"""Facts of a board as untidy sources tell them: late, doubled, in any order, one reopened, one deleted.

    facts.py SEED CARDS
"""

import json
import random
import sys
from datetime import datetime, timedelta, timezone

COLUMNS = [("Todo", "queue"), ("Doing", "active"), ("Review", "active"), ("Done", "done"), ("Live", "done")]
START = datetime(2026, 3, 2, 9, tzinfo=timezone.utc)


def stamp(chance, at):
    if chance.random() < 0.3:  # another zone, the same instant
        at = at.astimezone(timezone(timedelta(hours=chance.choice((-7, 2, 9)))))
    text = at.isoformat(timespec=chance.choice(("seconds", "microseconds")) if not at.microsecond else "microseconds")
    return text.replace("+00:00", "Z")


def report(chance, number, kind, at, data, sequence=None):
    event = {"specversion": "1.0", "id": f"{kind}-{number}", "source": "urn:untidy",
             "type": f"dev.takt.report.{kind}.v1", "time": stamp(chance, at), "data": data}
    return event | ({"sequence": str(sequence)} if sequence is not None else {})


def story(chance, card):
    """The columns a card goes through; None takes it off the board."""
    path = [0]
    while chance.random() < 0.85 and len(path) < 12:
        here = path[-1] if path[-1] is not None else 0
        path.append(max(0, min(len(COLUMNS) - 1, here + chance.choice((1, 1, 1, 1, 0, -1, -2)))))
    if chance.random() < 0.1:
        path.insert(chance.randrange(1, len(path) + 1), None)
    return path


def main(seed, cards):
    chance, facts = random.Random(seed), []
    for order, (column, kind) in enumerate(COLUMNS):
        facts.append(report(chance, len(facts), "column", START, {"column": column, "kind": "queue"}))
        at = START + timedelta(minutes=order)
        facts.append(report(chance, len(facts), "column", at, {"column": column, "kind": kind, "order": order}))
    for card in range(cards):
        at = START + timedelta(seconds=chance.randrange(30 * 86400))
        for sequence, step in enumerate(story(chance, card)):
            if chance.random() < 0.9:  # else two at one instant, which only the sequence orders
                at += timedelta(microseconds=chance.randrange(1, 3 * 86400 * 10**6))
            data = {"card": f"C-{card}"}
            data |= {"deleted": True} if step is None else {"column": COLUMNS[step][0], "title": f"Card {card}"}
            facts.append(report(chance, len(facts), "card", at, data, sequence))
    facts += chance.sample(facts, len(facts) // 3)
    chance.shuffle(facts)
    for fact in facts:
        print(json.dumps(fact))


main(int(sys.argv[1]), int(sys.argv[2]))
