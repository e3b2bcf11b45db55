"""A client that knows nothing of Takt but its address: reflection tells it the rest."""

import threading
import time

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_http_proxy", 0),
    # Every client has a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
]
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Takt:
    """One connection; `like` shares what reflection has told another one."""

    def __init__(self, address, like=None):
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        if like:
            self.pool, self.methods = like.pool, like.methods
            self.status, self.info = like.status, like.info
            return
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = {}
        self.status, self.info = self.message("RpcStatus"), self.message("ErrorInfo")

    def message(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"takt.v1.{name}"))

    def learn(self, *services):
        """Asks for the services before the server may be gone."""
        for name in services:
            service = self.pool.FindServiceByName(f"takt.v1.{name}")
            for method in service.methods:
                classes = [
                    message_factory.GetMessageClass(kind)
                    for kind in (method.input_type, method.output_type)
                ]
                self.methods[name, method.name] = (*classes, method.server_streaming)
        return self

    def call(self, service, method, timeout=30, **fields):
        asked, answered, streams = self.methods[service, method]
        make = self.channel.unary_stream if streams else self.channel.unary_unary
        stub = make(
            f"/takt.v1.{service}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        return stub(asked(**fields), timeout=timeout)

    def patiently(self, service, method, **fields):
        """Calls until the server is there to answer; the idempotency key makes that safe."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return self.call(service, method, **fields)
            except grpc.RpcError as error:
                if error.code() not in AGAIN or time.monotonic() > deadline:
                    raise
                self.wait()

    def wait(self):
        """Waits until the connection is up, or for a moment."""
        ready = grpc.channel_ready_future(self.channel)
        try:
            ready.result(timeout=1)
        except grpc.FutureTimeoutError:
            ready.cancel()

    def details(self, error):
        """The details of an error, from its trailing metadata."""
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                return [
                    detail
                    for packed in self.status.FromString(value).details
                    for detail in self.info.FromString(packed.value).details
                ]
        return []


class Watcher(threading.Thread):
    """Watches from a sequence and asks again from where it was when the server is gone."""

    def __init__(self, client, stream, start):
        super().__init__(daemon=True)
        self.client, self.stream, self.next = client, stream, start
        self.seen, self.grew, self.fault = [], threading.Condition(), None
        self.breaks = 0

    def run(self):
        while True:
            try:
                asked = {"stream": self.stream, "from": self.next}
                for event in self.client.call("EventService", "Watch", timeout=None, **asked):
                    self.note(event)
            except grpc.RpcError as error:
                # A server that is killed breaks the stream off in one of several ways.
                if error.code() not in (*AGAIN, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED,
                                        grpc.StatusCode.INTERNAL):
                    self.fault = f"{error.code()}: {error.details()}"
                    raise
            self.breaks += 1
            self.client.wait()

    def note(self, event):
        with self.grew:
            self.seen.append((event.sequence, bytes(event.event)))
            self.next = event.sequence + 1
            self.grew.notify_all()

    def reach(self, sequence, seconds=60):
        """Waits until everything up to a sequence was seen; gives all that was seen."""
        with self.grew:
            reached = lambda: self.seen and self.seen[-1][0] >= sequence
            if not self.grew.wait_for(reached, timeout=seconds):
                last = self.seen[-1][0] if self.seen else None
                raise AssertionError(f"`{self.stream}` stood at {last}, wanted {sequence}; {self.fault}")
            return list(self.seen)
