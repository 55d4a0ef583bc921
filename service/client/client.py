"""The Python client, blocking and async: images in, responses out, errors as in `errors.py`."""

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message

from service.api.images import ImageLike
from service.api.options import RecognizeOptions, to_request
from service.api.status import from_rpc_error
from service.client.channel import Options, Route, Tls, Token
from service.client.form_requests import loaded, to_form_request
from service.client.in_flight import Answer, FormAnswer, Outstanding, StreamMessage
from service.client.retry import Backoff, Tries
from service.client.streaming import AsyncStream, BlockingStream
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub

Response = TypeVar("Response", bound=Message)

SERVICE = "digitstrip.v1.RecognizerService"
IN_FLIGHT = 32  # images of a stream: enough to keep sixteen workers busy
PAGES_IN_FLIGHT = 8  # pages of forms: they are large
# A score map is a hundred times its image, and the caller's own wish, so no limit applies.
OPTIONS: Options = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # gRPC's own two minutes outlast any restart
    ("grpc.min_reconnect_backoff_ms", 5_000),  # for a connection to come about
    # A server that fell silent is noticed within 70 seconds, while calls wait for it.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # gRPC pings for other reasons, too
    ("grpc.http2.max_pings_without_data", 0),
]


class _Connection(ABC):
    """The state of both clients; documented there."""

    def __init__(
        self,
        address: str | Sequence[str] | Route,
        timeout: float = 60.0,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        token_file: Path | str | None = None,
        plaintext_token: bool = False,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        watch_health: bool = True,
    ) -> None:
        self.timeout = timeout
        self.backoff = backoff
        if not isinstance(address, Route):
            shown = None if token is None and token_file is None else Token(token, token_file)
            addresses = (address,) if isinstance(address, str) else tuple(address)
            address = Route(addresses, tls, shown, plaintext_token)
        self.route = address
        self._rng = random.Random()
        config: JsonObject = {"loadBalancingConfig": [{"round_robin": {}}]}
        if watch_health:
            config["healthCheckConfig"] = {"serviceName": SERVICE}
        self.channel = self._open([*OPTIONS, ("grpc.service_config", json.dumps(config))])
        self.stub = RecognizerServiceStub(self.channel)

    @abstractmethod
    def _open(self, options: Options) -> grpc.Channel | grpc.aio.Channel:
        """Open a channel."""

    def _tries(self, timeout: float | None = None) -> Tries:
        return Tries(self.timeout if timeout is None else timeout, self.backoff, self._rng)

    def _images(self, in_flight: int) -> Outstanding[pb.RecognizeRequest, pb.RecognizeResponse]:
        return Outstanding(in_flight, self._tries, pb.RecognizeStreamRequest)

    def _pages(
        self, in_flight: int
    ) -> Outstanding[pb.RecognizeFormRequest, pb.RecognizeFormResponse]:
        return Outstanding(in_flight, self._tries, pb.RecognizeFormStreamRequest)

    def _metadata(self, request_id: str | None) -> tuple[tuple[str, str], ...]:
        named = (("x-request-id", request_id),) if request_id is not None else ()
        return (*self.route.metadata(), *named)


class Client(_Connection):
    r"""A connection to one server or several, blocking; threads can share it.

    Args:
        address: host:port, or a sequence of them, which are IP addresses then. Calls go to each in
            turn; so they do where one name stands for several servers, as `dns:///readers:50051`.
            Or a `Route`, which says all that follows up to `plaintext_token`.
        timeout: seconds that one call may take, with all its tries and the waits between. A stream
            is not bounded; but an image of it that is refused is tried again for so long, and as
            long after the latest answer a server is looked for.
        tls: encrypts, and shows a certificate if it has one.
        token: the bearer token to show.
        token_file: a file that holds it instead, reloaded when it changes.
        plaintext_token: lets the token leave this machine without TLS.
        backoff: how to wait before another try, and how many there are.
        watch_health: watches each server's health, and calls none that drains. Switch it off
            for servers whose health needs a token.

    A call is retried where the server did not read the image and may a little later: it is
    unavailable or overloaded. Options are those of `RecognizeOptions`:
    `client.recognize("strip.png", pattern=r"\d{5}", check_digit="luhn", alternatives=3)`. An image
    is a file's bytes, a path, a Pillow image, or an array of uint8: gray of shape (height, width)
    or RGB of shape (height, width, 3).

    Every method raises `InputError` (its subclass, as in the service) for an image that cannot
    be read or an option that cannot be met, and `ServerError` (its subclass) when no server can be
    reached, or one fails. The constructor raises `SettingsError` for what makes no sense.
    """

    def _open(self, options: Options) -> grpc.Channel:
        return self.route.channel(options)

    def recognize(
        self,
        image: ImageLike,
        page: int = 0,
        scores: bool = False,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RecognizeOptions],
    ) -> pb.RecognizeResponse:
        """Read one image; `scores` adds the score map, `request_id` names the call in logs."""
        request = to_request(image, page, scores, **options)
        response: pb.RecognizeResponse = self._call(
            self.stub.Recognize, request, timeout, request_id
        )
        return response

    def recognize_many(
        self,
        images: Iterable[tuple[str, ImageLike]],
        scores: bool = False,
        *,
        in_flight: int = IN_FLIGHT,
        request_id: str | None = None,
        **options: Unpack[RecognizeOptions],
    ) -> Iterator[Answer]:
        """Read (name, image) pairs over one call; answers come as they are ready.

        An image that the server cannot read has its error as its answer. The options hold for all.
        At most `in_flight` images are taken whose answer has not been yielded. A call that ends
        early is followed by another, which sends what has no answer: every image is answered
        once.
        """
        pairs = ((name, to_request(image, 0, scores, **options)) for name, image in images)

        def open_call(requests: Iterator[StreamMessage]) -> grpc.Call:
            return self.stub.RecognizeStream(requests, metadata=self._metadata(request_id))

        stream = BlockingStream(open_call, pairs, self._images(in_flight), self._tries)
        return iter(stream)

    def recognize_form(
        self,
        image: ImageLike,
        form: pb.Form | Path | str,
        page: int = 0,
        *,
        alternatives: int = 0,
        accepted_error_rate: float | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> pb.RecognizeFormResponse:
        """Read one page as a form.

        Args:
            image: of the page.
            form: the name of one that the server has; or the path of a template, whose reference
                lies beside it; or both in a message.
            page: of a file with several pages, from 0.
            alternatives: the number of further strings to return of each field, 0 to 20.
            accepted_error_rate: the share of accepted fields that may be wrong, above 0 and below
                1; with it, every field has a decision.
            timeout: seconds that the call may take; None, the client's.
            request_id: names the call in logs.

        Raises:
            BadForm: the template has a mistake, or cannot be read.
            NoSuchForm: the server has no form of that name.
        """
        request = to_form_request(image, form, page, alternatives, accepted_error_rate)
        response: pb.RecognizeFormResponse = self._call(
            self.stub.RecognizeForm, request, timeout, request_id
        )
        return response

    def recognize_forms(
        self,
        pages: Iterable[tuple[str, ImageLike]],
        form: pb.Form | Path | str,
        *,
        in_flight: int = PAGES_IN_FLIGHT,
        alternatives: int = 0,
        accepted_error_rate: float | None = None,
        request_id: str | None = None,
    ) -> Iterator[FormAnswer]:
        """Read (name, image) pairs as pages of a form, over one call, as `recognize_many` does.

        A template is read, and sent with every page; the name of a form that the server has is
        less to send. The options are those of `recognize_form`, and hold for all.

        Raises:
            BadForm: the template cannot be read. A mistake in it is the answer of every page.
        """
        form = loaded(form)
        pairs = (
            (name, to_form_request(image, form, 0, alternatives, accepted_error_rate))
            for name, image in pages
        )

        def open_call(requests: Iterator[StreamMessage]) -> grpc.Call:
            return self.stub.RecognizeFormStream(requests, metadata=self._metadata(request_id))

        stream = BlockingStream(open_call, pairs, self._pages(in_flight), self._tries)
        return iter(stream)

    def list_forms(self) -> pb.ListFormsResponse:
        """List the forms that the server has."""
        response: pb.ListFormsResponse = self._call(self.stub.ListForms, pb.ListFormsRequest())
        return response

    def get_model(self) -> pb.GetModelResponse:
        """Describe the server's model."""
        response: pb.GetModelResponse = self._call(self.stub.GetModel, pb.GetModelRequest())
        return response

    def _call(
        self,
        method: Callable[..., Response],
        request: Message,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Response:
        tries = self._tries(timeout)
        while True:
            try:
                return method(request, timeout=tries.left, metadata=self._metadata(request_id))
            except grpc.RpcError as error:
                failure = from_rpc_error(error)
                if (pause := tries.pause(failure)) is None:
                    raise failure from error
            time.sleep(pause)

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


class AsyncClient(_Connection):
    """A connection to one server or several for asyncio; otherwise as `Client`."""

    def _open(self, options: Options) -> grpc.aio.Channel:
        return self.route.aio_channel(options)

    async def recognize(
        self,
        image: ImageLike,
        page: int = 0,
        scores: bool = False,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RecognizeOptions],
    ) -> pb.RecognizeResponse:
        """Read one image."""
        request = to_request(image, page, scores, **options)
        response: pb.RecognizeResponse = await self._call(
            self.stub.Recognize, request, timeout, request_id
        )
        return response

    def recognize_many(
        self,
        images: AsyncIterable[tuple[str, ImageLike]] | Iterable[tuple[str, ImageLike]],
        scores: bool = False,
        *,
        in_flight: int = IN_FLIGHT,
        request_id: str | None = None,
        **options: Unpack[RecognizeOptions],
    ) -> AsyncIterator[Answer]:
        """Read (name, image) pairs over one call; answers come as they are ready.

        A plain iterable is advanced in the event loop, so one that waits belongs in an async one.
        """
        pairs = (
            (name, to_request(image, 0, scores, **options)) async for name, image in _aiter(images)
        )

        def open_call(requests: AsyncIterator[StreamMessage]) -> grpc.aio.Call:
            return self.stub.RecognizeStream(requests, metadata=self._metadata(request_id))

        stream = AsyncStream(open_call, pairs, self._images(in_flight), self._tries)
        return aiter(stream)

    async def recognize_form(
        self,
        image: ImageLike,
        form: pb.Form | Path | str,
        page: int = 0,
        *,
        alternatives: int = 0,
        accepted_error_rate: float | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> pb.RecognizeFormResponse:
        """Read one page as a form."""
        request = to_form_request(image, form, page, alternatives, accepted_error_rate)
        response: pb.RecognizeFormResponse = await self._call(
            self.stub.RecognizeForm, request, timeout, request_id
        )
        return response

    def recognize_forms(
        self,
        pages: AsyncIterable[tuple[str, ImageLike]] | Iterable[tuple[str, ImageLike]],
        form: pb.Form | Path | str,
        *,
        in_flight: int = PAGES_IN_FLIGHT,
        alternatives: int = 0,
        accepted_error_rate: float | None = None,
        request_id: str | None = None,
    ) -> AsyncIterator[FormAnswer]:
        """Read (name, image) pairs as pages of a form, over one call."""
        form = loaded(form)
        pairs = (
            (name, to_form_request(image, form, 0, alternatives, accepted_error_rate))
            async for name, image in _aiter(pages)
        )

        def open_call(requests: AsyncIterator[StreamMessage]) -> grpc.aio.Call:
            return self.stub.RecognizeFormStream(requests, metadata=self._metadata(request_id))

        stream = AsyncStream(open_call, pairs, self._pages(in_flight), self._tries)
        return aiter(stream)

    async def list_forms(self) -> pb.ListFormsResponse:
        """List the forms that the server has."""
        response: pb.ListFormsResponse = await self._call(
            self.stub.ListForms, pb.ListFormsRequest()
        )
        return response

    async def get_model(self) -> pb.GetModelResponse:
        """Describe the server's model."""
        response: pb.GetModelResponse = await self._call(self.stub.GetModel, pb.GetModelRequest())
        return response

    async def _call(
        self,
        method: Callable[..., Awaitable[Response]],
        request: Message,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Response:
        tries = self._tries(timeout)
        while True:
            try:
                metadata = self._metadata(request_id)
                return await method(request, timeout=tries.left, metadata=metadata)
            except grpc.RpcError as error:
                failure = from_rpc_error(error)
                if (pause := tries.pause(failure)) is None:
                    raise failure from error
            await asyncio.sleep(pause)

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


async def _aiter(
    images: AsyncIterable[tuple[str, ImageLike]] | Iterable[tuple[str, ImageLike]],
) -> AsyncIterator[tuple[str, ImageLike]]:
    """Yield from an iterable, asynchronous or plain."""
    if isinstance(images, AsyncIterable):
        async for pair in images:
            yield pair
    else:
        for pair in images:
            yield pair
