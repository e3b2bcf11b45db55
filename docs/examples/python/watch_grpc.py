"""Follows a value stream by gRPC; server reflection tells what the messages are.

    watch_grpc.py STREAM [LAST_SEQUENCE]
"""

import json
import os
import sys
import time

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

address = os.environ.get("TAKT_SERVER", "http://127.0.0.1:7420").removeprefix("http://")
channel = grpc.insecure_channel(address, options=[("grpc.keepalive_time_ms", 30000)])
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
Asked, Event = (
    message_factory.GetMessageClass(pool.FindMessageTypeByName(f"takt.v1.{name}"))
    for name in ("ReadRequest", "Event")
)
watch = channel.unary_stream(
    "/takt.v1.EventService/Watch",
    request_serializer=Asked.SerializeToString,
    response_deserializer=Event.FromString,
)


def events(stream, last):
    while True:
        try:
            for event in watch(Asked(**{"stream": stream, "from": last + 1}), wait_for_ready=True):
                last = event.sequence
                yield event.sequence, json.loads(event.event)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                raise SystemExit(error.details())
            time.sleep(1)


for sequence, event in events(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0):
    print(sequence, event["type"], event.get("subject", ""), flush=True)
