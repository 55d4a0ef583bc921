"""The gRPC methods. Messages pass through as bytes: workers parse requests and write responses."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import grpc

from service.api.status import to_stream_error
from service.api.wire import (
    join_stream_error,
    join_stream_response,
    split_stream_request,
)
from service.errors import DigitstripError, ServerStopping
from service.grpc_operations import to_its_end
from service.held_bytes import Hold
from service.pb import recognizer_pb2 as pb
from service.server.receiving import ENDED_SECONDS, Receiver
from service.server.refusal import refuse
from service.serving.backend import Backend
from service.serving.observability.call import NOT_RECEIVED, NOT_RECEIVED_CODE, REQUEST_ID, Call
from service.workers.framing import Work

SERVICE = pb.DESCRIPTOR.services_by_name["RecognizerService"].full_name


class Servicer:
    """Answers as the backend does.

    Args:
        backend: recognizes, and observes.
        receiver: receives a stream's messages within the server's bounds.
        in_flight: the maximum number of images of one stream that are received and not yet
            answered; gRPC's flow control holds back the rest.
    """

    def __init__(self, backend: Backend, receiver: Receiver, in_flight: int) -> None:
        self.backend = backend
        self.observer = backend.observer
        self.receiver = receiver
        self.in_flight = in_flight
        self.work = WorkInHand()

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Return the methods by name as gRPC registers them, without serializers."""

        async def recognize_stream(_: object, context: grpc.aio.ServicerContext) -> None:
            await self.recognize_stream("RecognizeStream", context, Work.RECOGNIZE)

        async def recognize_form_stream(_: object, context: grpc.aio.ServicerContext) -> None:
            await self.recognize_stream("RecognizeFormStream", context, Work.RECOGNIZE_FORM)

        for method in (recognize_stream, recognize_form_stream):
            method.receives = True  # type: ignore[attr-defined]  # for `Receiver`
        return {
            "Recognize": grpc.unary_unary_rpc_method_handler(self.recognize),
            "RecognizeStream": grpc.stream_stream_rpc_method_handler(recognize_stream),
            "RecognizeForm": grpc.unary_unary_rpc_method_handler(self.recognize_form),
            "RecognizeFormStream": grpc.stream_stream_rpc_method_handler(recognize_form_stream),
            "ListForms": grpc.unary_unary_rpc_method_handler(
                self.list_forms, request_deserializer=pb.ListFormsRequest.FromString
            ),
            "GetModel": grpc.unary_unary_rpc_method_handler(
                self.get_model, request_deserializer=pb.GetModelRequest.FromString
            ),
        }

    async def recognize(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Recognize one image.

        Args:
            request: a serialized RecognizeRequest.
            context: of the call.

        Returns:
            A serialized RecognizeResponse; nothing if the call ends with an error.
        """
        return await self._recognize("Recognize", request, context, Work.RECOGNIZE)

    async def recognize_form(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Recognize a page of a form: a serialized RecognizeFormRequest, and its response."""
        return await self._recognize("RecognizeForm", request, context, Work.RECOGNIZE_FORM)

    async def _recognize(
        self, method: str, request: bytes, context: grpc.aio.ServicerContext, work: Work
    ) -> bytes:
        self.work.add(context)
        with self._call(method, context) as call:
            left = context.time_remaining()
            answer = await self.backend.recognize(call, request, left, work=work)
            if isinstance(answer, DigitstripError):
                _refuse(context, answer, call)
                return b""
            return answer.response

    async def recognize_stream(
        self, method: str, context: grpc.aio.ServicerContext, work: Work
    ) -> None:
        """Recognize a stream's images, several at once, and write each response as it is ready.

        Args:
            method: that is called.
            context: of the call, from which its serialized requests are read and to which its
                serialized responses are written.
            work: what is to be done with each.
        """
        self.work.add(context)
        with self._call(method, context) as call:
            stream = _Stream(self, call, context, work)
            try:
                error = await stream.run()
            except asyncio.CancelledError:
                if stream.ended_unreceived:
                    self.observer.stream_refused(method, NOT_RECEIVED_CODE, NOT_RECEIVED)
                raise
            if error is not None:
                self.observer.stream_refused(method, error.code, error.reason)
                _refuse(context, error, call)

    async def list_forms(
        self, request: pb.ListFormsRequest, context: grpc.aio.ServicerContext
    ) -> bytes:
        """List the forms that calls may name."""
        with self._call("ListForms", context):
            listed: bytes = self.backend.forms.listed.SerializeToString()
            return listed

    async def get_model(
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext,
    ) -> bytes:
        """Describe the model."""
        with self._call("GetModel", context):
            described: bytes = self.backend.pool.described.SerializeToString()
            return described

    @contextmanager
    def _call(self, method: str, context: grpc.aio.ServicerContext) -> Iterator[Call]:
        """Observe a call, and return its id with its status."""
        with self.observer.call(method, dict(context.invocation_metadata() or ())) as call:
            context.set_trailing_metadata(((REQUEST_ID, call.id),))
            yield call


class _Stream:
    """One call whose messages are a stream."""

    def __init__(
        self,
        servicer: Servicer,
        call: Call,
        context: grpc.aio.ServicerContext,
        work: Work,
    ) -> None:
        self.servicer = servicer
        self.call = call
        self.context = context
        self.work = work
        self.places = asyncio.Semaphore(servicer.in_flight)
        self.writing = asyncio.Lock()  # gRPC writes one message at a time
        self.answering: set[asyncio.Task[None]] = set()
        self._received = False  # a message, so far
        self._ended: float | None = None  # when gRPC said that no more come

    @property
    def ended_unreceived(self) -> bool:
        """Whether a stream that was cancelled ended by a message that was not received.

        Of one that gRPC refuses, gRPC says that it is the end of them, and at once that the call is
        over; or, where it refuses by the headers, the latter alone.
        """
        if self._ended is None:
            return not self._received
        return asyncio.get_running_loop().time() - self._ended < ENDED_SECONDS

    async def run(self) -> DigitstripError | None:
        """Answer the stream to its end; return why it ended before, if it did."""
        receiving = asyncio.create_task(self._receive_all())
        draining = asyncio.create_task(self.servicer.backend.draining.wait())
        try:
            await asyncio.wait({receiving, draining}, return_when=asyncio.FIRST_COMPLETED)
            error: DigitstripError | None = (
                receiving.result()
                if receiving.done()
                else ServerStopping(
                    "the server is stopping; images without a response were not recognized"
                )
            )
            await _finish({receiving}, cancel=True)
            await _finish(self.answering)
            return error
        finally:
            await _finish({receiving, draining, *self.answering}, cancel=True)

    async def _receive_all(self) -> DigitstripError | None:
        """Receive the stream's messages and answer each in a task."""
        receiver, expected = self.servicer.receiver, None
        while True:
            await self.places.acquire()
            # Counted before it comes: all streams may be about to receive one.
            hold = await receiver.expect(self.context, expected)
            try:
                message = await receiver.receive(self.context, expected=hold)
            except DigitstripError as error:
                return error.with_traceback(None)
            finally:
                hold.release()
            if message is None:
                self._ended = asyncio.get_running_loop().time()
                return None
            self._received, expected = True, len(message)
            hold = receiver.held.hold(expected)
            answering = asyncio.create_task(self._answer(message, hold))
            self.answering.add(answering)
            answering.add_done_callback(partial(self._answered, hold))
            del message, answering

    def _answered(self, hold: Hold, task: asyncio.Task[None]) -> None:
        hold.release()
        self.answering.discard(task)
        self.places.release()

    async def _answer(self, message: bytes, hold: Hold) -> None:
        """Recognize an image and write its response, which is held in the message's place."""
        id_ = b""
        try:
            id_, request = split_stream_request(message)
        except DigitstripError as error:
            response = join_stream_error(id_, to_stream_error(error))
        else:
            del message
            answer = await self.servicer.backend.recognize(
                self.call, request, None, patient=True, work=self.work
            )
            del request
            response = (
                join_stream_error(id_, to_stream_error(answer))
                if isinstance(answer, DigitstripError)
                else join_stream_response(id_, answer.response)
            )
        hold.resize(len(response))
        async with self.writing:
            await to_its_end(self.context.write(response))  # until the transport has taken it


async def _finish(tasks: Iterable[asyncio.Task[object]], cancel: bool = False) -> None:
    """Wait until tasks have ended, and raise the first error of one that was not cancelled."""
    tasks = list(tasks)
    for task in tasks:
        if cancel:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:  # not by what they returned, which may be an error as a value
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


class WorkInHand:
    """Counts the calls whose status has not been sent yet."""

    def __init__(self) -> None:
        self._calls = 0
        self._none = asyncio.Event()
        self._none.set()

    def add(self, context: grpc.aio.ServicerContext) -> None:
        """Count a call until its status has been sent."""
        self._calls += 1
        self._none.clear()
        context.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._calls -= 1
        if not self._calls:
            self._none.set()

    async def done(self) -> None:
        """Wait until no call is in progress."""
        await self._none.wait()


def _refuse(context: grpc.aio.ServicerContext, error: DigitstripError, call: Call) -> None:
    """Have a call end with an error, its details, and the call's id."""
    call.code = error.code
    refuse(context, error, (REQUEST_ID, call.id))
