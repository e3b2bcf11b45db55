"""Follows a value stream by server-sent events, with nothing but Python.

    watch_sse.py STREAM [LAST_SEQUENCE]
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

server = os.environ.get("TAKT_SERVER", "http://127.0.0.1:7420")


def events(stream, last):
    url = f"{server}/v1/streams/{stream}/events/watch"
    while True:
        try:
            asked = urllib.request.Request(url, headers={"Last-Event-ID": str(last)})
            # A heartbeat comes every 15 seconds; a connection that is silent for longer is dead.
            with urllib.request.urlopen(asked, timeout=45) as answer:
                for line in answer:
                    if line.startswith(b"data: {\"taktseq\":"):
                        event = json.loads(line[len(b"data: "):])
                        last = event["taktseq"]
                        yield event
        except urllib.error.HTTPError as refused:
            raise SystemExit(refused.read().decode())
        except OSError:
            pass  # It is away; what happens meanwhile is not missed.
        time.sleep(1)


for event in events(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0):
    print(event["taktseq"], event["type"], event.get("subject", ""), flush=True)
