"""Publishes a card's move by gRPC, and tells what became of it.

    publish_grpc.py STREAM CARD COLUMN
"""

import json
import os
import sys
from datetime import datetime, timezone

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

stream, card, column = sys.argv[1:]
address = os.environ.get("TAKT_SERVER", "http://127.0.0.1:7420").removeprefix("http://")
channel = grpc.insecure_channel(address)
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
Asked, Answer = (
    message_factory.GetMessageClass(pool.FindMessageTypeByName(f"takt.v1.{name}"))
    for name in ("PublishRequest", "PublishResponse")
)
publish = channel.unary_unary(
    "/takt.v1.EventService/Publish",
    request_serializer=Asked.SerializeToString,
    response_deserializer=Answer.FromString,
)
now = datetime.now(timezone.utc).isoformat()
# Made once: whoever tries again sends the same id, time and data, so that it counts once.
event = {
    "specversion": "1.0",
    "id": f"{card}/{column}/{now}",
    "source": "/examples/grpc",
    "type": "dev.takt.report.card.v1",
    "time": now,
    "data": {"card": card, "column": column},
}
answer = publish(Asked(stream=stream, events=[json.dumps(event).encode()]), timeout=60)
for result in answer.results:
    outcome = result.WhichOneof("result")
    told = result.dead.reason if outcome == "dead" else getattr(result, outcome).sequence
    print(outcome, told)
