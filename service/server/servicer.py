"""The gRPC methods: messages in, messages out; whatever is read is read by the pool."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import grpc
from grpc_status import rpc_status

from service.api.requests import to_pixels
from service.api.status import to_status, to_stream_error
from service.errors import DigitstripError, ServerStopping
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceServicer
from service.server.observability.observer import REQUEST_ID, Call, Observer
from service.workers.pool import ReaderPool

EARLY = 0.1  # seconds that a client's deadline may pass before ours


class Servicer(RecognizerServiceServicer):
    """Answers with a pool of readers.

    Args:
        pool: reads.
        observer: is told of every call and image.
        in_flight: the most images of one stream that are taken in and not yet answered;
            gRPC's flow control holds back the rest.
    """

    def __init__(self, pool: ReaderPool, observer: Observer, in_flight: int) -> None:
        self.pool = pool
        self.observer = observer
        self.in_flight = in_flight
        self.work = WorkInHand()
        self.draining = asyncio.Event()

    async def Recognize(  # noqa: N802 - the schema's name
        self, request: pb.RecognizeRequest, context: grpc.aio.ServicerContext
    ) -> pb.RecognizeResponse:
        """Read one image."""
        self.work.add(context)
        with self.observer.call("Recognize", context) as call:
            try:
                return await self._read(call, request, context.time_remaining())
            except DigitstripError as error:
                await refuse(context, error, call)
                raise AssertionError("abort raises") from error

    async def RecognizeStream(  # noqa: N802
        self,
        requests: AsyncIterator[pb.RecognizeStreamRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[pb.RecognizeStreamResponse]:
        """Read a stream's images, several at once, and answer each as it is ready."""
        self.work.add(context)
        with self.observer.call("RecognizeStream", context) as call:
            async with aclosing(self._answer_stream(call, requests, context)) as answers:
                async for response in answers:
                    yield response

    async def _answer_stream(
        self,
        call: Call,
        requests: AsyncIterator[pb.RecognizeStreamRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncGenerator[pb.RecognizeStreamResponse, None]:
        places = asyncio.Semaphore(self.in_flight)
        answers: asyncio.Queue[pb.RecognizeStreamResponse | None] = asyncio.Queue()

        async def answer(request: pb.RecognizeStreamRequest) -> None:
            await answers.put(await self._read_one_of_many(call, request))

        async def take_in() -> bool:
            """Return whether the stream was heard to its end."""
            try:
                async with asyncio.TaskGroup() as reading:
                    async for request in self._until_draining(requests):
                        if request is None:
                            return False
                        await places.acquire()
                        reading.create_task(answer(request))
                return True
            finally:
                answers.put_nowait(None)

        taking_in = asyncio.create_task(take_in())
        try:
            while (response := await answers.get()) is not None:
                yield response  # returns when the transport has taken it
                places.release()
            heard_to_its_end = await taking_in
        finally:
            taking_in.cancel()
        if not heard_to_its_end:
            stopping = "the server is stopping; images without an answer were not read"
            await refuse(context, ServerStopping(stopping), call)

    async def _until_draining(
        self, requests: AsyncIterator[pb.RecognizeStreamRequest]
    ) -> AsyncIterator[pb.RecognizeStreamRequest | None]:
        """Yield a stream's requests until it ends; None, last, if the server drains before."""
        draining = asyncio.create_task(self.draining.wait())
        following: asyncio.Future[pb.RecognizeStreamRequest | None] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait({following, draining}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    yield None
                    return
                if (request := following.result()) is None:
                    return
                yield request
        finally:
            draining.cancel()
            if following is not None:
                following.cancel()

    async def GetModel(  # noqa: N802
        self,
        request: pb.GetModelRequest,
        context: grpc.aio.ServicerContext,
    ) -> pb.GetModelResponse:
        """Describe the model."""
        with self.observer.call("GetModel", context):
            return self.pool.described

    async def _read(
        self,
        call: Call,
        request: pb.RecognizeRequest,
        seconds_left: float | None,
        patient: bool = False,
    ) -> pb.RecognizeResponse:
        began = time.time()
        try:
            answer = await self.pool.read(
                request.SerializeToString(), to_pixels(request.image), seconds_left, patient
            )
        except DigitstripError as error:
            self.observer.failed(call, request.image, began, error)
            raise
        except asyncio.CancelledError:
            expired = seconds_left is not None and time.time() - began > seconds_left - EARLY
            self.observer.given_up(call, request.image, began, expired)
            raise
        response = pb.RecognizeResponse()
        response.ParseFromString(answer.response)
        self.observer.read(call, request.image, began, answer, response)
        return response

    async def _read_one_of_many(
        self, call: Call, request: pb.RecognizeStreamRequest
    ) -> pb.RecognizeStreamResponse:
        try:
            response = await self._read(call, request.request, None, patient=True)
            return pb.RecognizeStreamResponse(id=request.id, response=response)
        except DigitstripError as error:
            return pb.RecognizeStreamResponse(id=request.id, error=to_stream_error(error))


class WorkInHand:
    """Counts the calls whose answer has not left yet."""

    def __init__(self) -> None:
        self._calls = 0
        self._none = asyncio.Event()
        self._none.set()

    def add(self, context: grpc.aio.ServicerContext) -> None:
        """Count a call until it has ended, its status sent."""
        self._calls += 1
        self._none.clear()
        context.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._calls -= 1
        if not self._calls:
            self._none.set()

    async def done(self) -> None:
        """Return as soon as no call is being answered."""
        await self._none.wait()


async def refuse(context: grpc.aio.ServicerContext, error: DigitstripError, call: Call) -> None:
    """End a call with an error, its details, and the call's id.

    Raises:
        grpc.aio.AbortError: always.
    """
    call.code = error.code
    status = rpc_status.to_status(to_status(error))
    trailing = (*status.trailing_metadata, (REQUEST_ID, call.id))
    await context.abort(status.code, status.details, trailing)
