"""A small server of the schema that answers as a test wants, over real gRPC."""

import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from service.api.status import to_status, to_stream_error
from service.client.client import SERVICE
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import (
    RecognizerServiceServicer,
    add_RecognizerServiceServicer_to_server,
)


class Peer(RecognizerServiceServicer):
    """Answers every image with its own bytes as the text, unless it is to fail.

    Args:
        failures: what the first images get instead of an answer, one each; None is an answer.
        credentials: of a server under TLS.
        port: to listen on; 0 is a free one.
    """

    def __init__(self, failures=(), credentials=None, port=0):
        self.failures = list(failures)
        self.lock = threading.Lock()
        self.calls = []  # the metadata of each
        self.seen = []  # the bytes of each image
        self.health = health.HealthServicer()
        self.health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self.server = grpc.server(
            futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)]
        )
        add_RecognizerServiceServicer_to_server(self, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        where = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self.server.add_insecure_port(where)
        else:
            self.port = self.server.add_secure_port(where, credentials)
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def stop(self, grace=None):
        self.server.stop(grace).wait()

    def failure(self, image):
        with self.lock:
            self.seen.append(image)
            return self.failures.pop(0) if self.failures else None

    def Recognize(self, request, context):  # noqa: N802 - the schema's name
        self.calls.append(dict(context.invocation_metadata()))
        failure = self.failure(request.image.encoded)
        if failure is not None:
            context.abort_with_status(rpc_status.to_status(to_status(failure)))
        return pb.RecognizeResponse(text=request.image.encoded.decode(errors="replace"))

    def RecognizeStream(self, requests, context):  # noqa: N802
        self.calls.append(dict(context.invocation_metadata()))
        for request in requests:
            failure = self.failure(request.request.image.encoded)
            if failure == "end":  # as though all were answered
                return
            if failure is None:
                text = request.request.image.encoded.decode(errors="replace")
                yield pb.RecognizeStreamResponse(
                    id=request.id, response=pb.RecognizeResponse(text=text)
                )
            elif failure.code == "UNAVAILABLE":
                context.abort_with_status(rpc_status.to_status(to_status(failure)))
            else:
                error = to_stream_error(failure)
                yield pb.RecognizeStreamResponse(id=request.id, error=error)

    def GetModel(self, request, context):  # noqa: N802
        self.calls.append(dict(context.invocation_metadata()))
        return pb.GetModelResponse(digest=str(self.port))


def of_server(certificates, name, mutual=False):
    """Return what a server shows; `mutual` if it wants to see as much of its clients."""
    pair = [(certificates / f"{name}.{kind}").read_bytes() for kind in ("key", "pem")]
    authority = (certificates / "ca.pem").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=mutual)
