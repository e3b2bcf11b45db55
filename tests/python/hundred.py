"""A hundred clients at once, each on a connection of its own, move a card each into one column.

    hundred.py ADDRESS[,ADDRESS] CLIENTS LIMIT

With several addresses the clients go to one node after the other.

The stream `shop` must have a column `Doing` with that hard limit, and as many cards `C-n` elsewhere.
"""

import collections
import json
import sys
import threading

import grpc

from takt import Takt


def main(addresses, clients, limit):
    first = Takt(addresses[0]).learn("BoardService")
    barrier, outcomes = threading.Barrier(clients), [None] * clients

    def one(number):
        takt = Takt(addresses[number % len(addresses)], first)
        grpc.channel_ready_future(takt.channel).result(timeout=60)
        barrier.wait()
        try:
            takt.call("BoardService", "MoveCard", timeout=60, stream="shop", card=f"C-{number}", column="Doing")
            outcomes[number] = ("OK", "")
        except grpc.RpcError as error:
            details = first.details(error)
            told = any(it.code == "wip_limit" and f"{limit}" in it.message and it.remedy for it in details)
            outcomes[number] = (error.code().name, error.details() if told else f"untold: {details}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = collections.Counter(code for code, _ in outcomes)
    print(json.dumps({"codes": codes, "words": sorted({words for _, words in outcomes})}))


main(sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]))
