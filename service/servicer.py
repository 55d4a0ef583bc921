"""The gRPC methods: messages in, messages out; decoding and scoring off the event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from importlib.metadata import version

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.errors import DOMAIN, DigitstripError, InputError
from service.image import Limits
from service.messages import to_calibration, to_response
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceServicer
from service.recognizer import Recognizer
from service.requests import to_gray, to_options

logger = logging.getLogger(__name__)


class Servicer(RecognizerServiceServicer):
    """Answers with one recognizer, on an executor's threads.

    Args:
        recognizer: reads.
        limits: how large an image may be.
        executor: where images are decoded and read.
        in_flight: the most images of one stream that are taken in and not yet answered;
            gRPC's flow control holds back the rest.
    """

    def __init__(
        self, recognizer: Recognizer, limits: Limits, executor: Executor, in_flight: int
    ) -> None:
        self.recognizer = recognizer
        self.limits = limits
        self.executor = executor
        self.in_flight = in_flight
        self.work = WorkInHand()
        self.draining = asyncio.Event()

    async def Recognize(  # noqa: N802 - the schema's name
        self, request: pb.RecognizeRequest, context: grpc.aio.ServicerContext
    ) -> pb.RecognizeResponse:
        """Read one image."""
        self.work.add(context)
        try:
            return await self._read(request)
        except DigitstripError as error:
            await context.abort_with_status(rpc_status.to_status(to_status(error)))
            raise AssertionError("abort raises") from error

    async def RecognizeStream(  # noqa: N802
        self,
        requests: AsyncIterator[pb.RecognizeStreamRequest],
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[pb.RecognizeStreamResponse]:
        """Read a stream's images, several at once, and answer each as it is ready."""
        self.work.add(context)
        places = asyncio.Semaphore(self.in_flight)
        answers: asyncio.Queue[pb.RecognizeStreamResponse | None] = asyncio.Queue()

        async def answer(request: pb.RecognizeStreamRequest) -> None:
            await answers.put(await self._read_one_of_many(request))

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
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                "the server is stopping; images without an answer were not read",
            )

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
        contract = self.recognizer.contract
        return pb.GetModelResponse(
            labels=contract.labels,
            receptive_field=contract.receptive_field,
            stride=contract.stride,
            digest=self.recognizer.scorer.digest,
            version=version("digitstrip"),
            training_json=contract.training,
            calibration=to_calibration(contract.calibration),
        )

    async def _read(self, request: pb.RecognizeRequest) -> pb.RecognizeResponse:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, self._read_now, request)

    def _read_now(self, request: pb.RecognizeRequest) -> pb.RecognizeResponse:
        try:
            options = to_options(request)
            recognition = self.recognizer.recognize(to_gray(request.image, self.limits), options)
            return to_response(
                recognition,
                self.recognizer.contract,
                self.recognizer.scorer.digest,
                request.omit_scores,
            )
        except DigitstripError:
            raise
        except Exception as error:  # a fault of ours must not end a stream, nor tell its insides
            logger.exception("reading an image failed")
            raise DigitstripError("the server failed on this image; its log says why") from error

    async def _read_one_of_many(
        self, request: pb.RecognizeStreamRequest
    ) -> pb.RecognizeStreamResponse:
        try:
            response = await self._read(request.request)
            return pb.RecognizeStreamResponse(id=request.id, response=response)
        except DigitstripError as error:
            return pb.RecognizeStreamResponse(
                id=request.id,
                error=pb.Error(
                    code=code_pb2.Code.Value(error.code),
                    reason=error.reason,
                    message=str(error),
                    field=error.field if isinstance(error, InputError) else "",
                ),
            )


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


def to_status(error: DigitstripError) -> status_pb2.Status:
    """Return an error as google.rpc.Status, with the details that belong to it."""
    details = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if isinstance(error, InputError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=str(error)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    packed = []
    for detail in details:
        box = any_pb2.Any()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=str(error), details=packed
    )
