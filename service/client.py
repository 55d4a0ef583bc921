"""The Python client, blocking and async: images in, responses out, errors as in `errors.py`."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Self, Unpack

import grpc
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status

from service.errors import DigitstripError, InputError, ServerError, ServerUnavailable
from service.image import Gray
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.requests import Asked, to_image

# A score map is a hundred times its image; the caller asked for it, so no limit applies.
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Client:
    r"""A connection to one server, blocking.

    Args:
        address: host:port.
        timeout: seconds that one call may take; a stream is not bounded.

    What is known of the strings, and what to tell of them, is asked by the names of `Asked`:
    `client.recognize(image, constraint=pb.Constraint(pattern=r"\d{5}"), alternatives=3)`.

    Every method raises `InputError` (its subclass, as in the service) for an image that cannot
    be read or a wish that cannot be met, and `ServerError` when the server cannot be reached or
    fails.
    """

    def __init__(self, address: str, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.channel = grpc.insecure_channel(address, OPTIONS)
        self.stub = RecognizerServiceStub(self.channel)

    def recognize(
        self, image: bytes | Gray, page: int = 0, scores: bool = False, **asked: Unpack[Asked]
    ) -> pb.RecognizeResponse:
        """Read one image: a file's bytes, or gray levels of shape (height, width)."""
        try:
            response: pb.RecognizeResponse = self.stub.Recognize(
                to_request(image, page, scores, **asked), timeout=self.timeout
            )
        except grpc.RpcError as error:
            raise to_error(error) from error
        return response

    def recognize_many(
        self,
        images: Iterable[tuple[str, bytes | Gray]],
        scores: bool = False,
        **asked: Unpack[Asked],
    ) -> Iterator[tuple[str, pb.RecognizeResponse | DigitstripError]]:
        """Read (id, image) pairs over one call; answers come as they are ready.

        An image that cannot be read gives its error as its answer. What is asked holds for all.
        """
        broken: list[Exception] = []  # what the caller's own iterable raised; gRPC would hide it

        def requests() -> Iterator[pb.RecognizeStreamRequest]:
            try:
                for name, image in images:
                    request = to_request(image, 0, scores, **asked)
                    yield pb.RecognizeStreamRequest(id=name, request=request)
            except Exception as error:
                broken.append(error)
                raise

        call = self.stub.RecognizeStream(requests())
        try:
            for answer in call:
                yield answer.id, to_answer(answer)
        except grpc.RpcError as error:
            raise broken[0] if broken else to_error(error) from error
        finally:
            call.cancel()  # of no effect on a call that ended

    def get_model(self) -> pb.GetModelResponse:
        """Ask which model reads."""
        try:
            response: pb.GetModelResponse = self.stub.GetModel(
                pb.GetModelRequest(), timeout=self.timeout
            )
        except grpc.RpcError as error:
            raise to_error(error) from error
        return response

    def close(self) -> None:
        """End the connection."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """A connection to one server for asyncio; otherwise as `Client`."""

    def __init__(self, address: str, timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.channel = grpc.aio.insecure_channel(address, OPTIONS)
        self.stub = RecognizerServiceStub(self.channel)

    async def recognize(
        self, image: bytes | Gray, page: int = 0, scores: bool = False, **asked: Unpack[Asked]
    ) -> pb.RecognizeResponse:
        """Read one image: a file's bytes, or gray levels of shape (height, width)."""
        try:
            response: pb.RecognizeResponse = await self.stub.Recognize(
                to_request(image, page, scores, **asked), timeout=self.timeout
            )
        except grpc.RpcError as error:
            raise to_error(error) from error
        return response

    async def recognize_many(
        self,
        images: AsyncIterable[tuple[str, bytes | Gray]],
        scores: bool = False,
        **asked: Unpack[Asked],
    ) -> AsyncIterator[tuple[str, pb.RecognizeResponse | DigitstripError]]:
        """Read (id, image) pairs over one call; answers come as they are ready."""
        broken: list[Exception] = []

        async def requests() -> AsyncIterator[pb.RecognizeStreamRequest]:
            try:
                async for name, image in images:
                    request = to_request(image, 0, scores, **asked)
                    yield pb.RecognizeStreamRequest(id=name, request=request)
            except Exception as error:
                broken.append(error)
                raise

        call = self.stub.RecognizeStream(requests())
        try:
            async for answer in call:
                yield answer.id, to_answer(answer)
        except (grpc.RpcError, asyncio.CancelledError) as error:
            if broken:  # grpc.aio tells of it by cancelling
                raise broken[0] from error
            if isinstance(error, grpc.RpcError):
                raise to_error(error) from error
            raise
        finally:
            call.cancel()

    async def get_model(self) -> pb.GetModelResponse:
        """Ask which model reads."""
        try:
            response: pb.GetModelResponse = await self.stub.GetModel(
                pb.GetModelRequest(), timeout=self.timeout
            )
        except grpc.RpcError as error:
            raise to_error(error) from error
        return response

    async def close(self) -> None:
        """End the connection."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def to_request(
    image: bytes | Gray, page: int, scores: bool, **asked: Unpack[Asked]
) -> pb.RecognizeRequest:
    """Return the request for an image."""
    return pb.RecognizeRequest(image=to_image(image, page), omit_scores=not scores, **asked)


def to_answer(answer: pb.RecognizeStreamResponse) -> pb.RecognizeResponse | DigitstripError:
    """Return a stream's answer, an error as the class that the service raised."""
    if answer.HasField("response"):
        return answer.response
    error = answer.error
    if error.field:
        return input_error(error.reason, error.message, error.field)
    return ServerError(f"{code_pb2.Code.Name(error.code)}: {error.message}")


def to_error(error: grpc.RpcError) -> DigitstripError:
    """Return a failed call's error as the class that the service raised."""
    status = rpc_status.from_call(error)
    reason = field = ""
    for detail in status.details if status else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
    if field:
        return input_error(reason, error.details(), field)
    kind = ServerUnavailable if error.code() is grpc.StatusCode.UNAVAILABLE else ServerError
    return kind(f"{error.code().name}: {error.details()}")


def input_error(reason: str, message: str, field: str) -> InputError:
    """Return the error of a reason; one that only a newer server knows stays on the error."""
    for kind in InputError.__subclasses__():
        if kind.reason == reason:
            return kind(message, field)
    error = InputError(message, field)
    error.reason = reason or InputError.reason
    return error
