"""What is told of every call and every image: a line of log, metrics, and a span where wanted.

Nothing of an image, a text or a token is told, unless `log_texts` asks for the texts.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from service.errors import DeadlineTooShort, DigitstripError, Overloaded
from service.pb import recognizer_pb2 as pb
from service.server.observability.metrics import Metrics
from service.server.observability.tracing import Tracing
from service.workers.admission_queue import Answer

REQUEST_ID = "x-request-id"  # metadata, both ways
ALLOWED_ID = re.compile(r"[!-~]{1,64}")  # printable, and short enough for a log
UNKNOWN = "UNKNOWN"  # a call's code until it is known; gRPC's for a fault of ours

logger = logging.getLogger(__name__)


@dataclass
class Call:
    """One call, from its first byte to its status."""

    method: str
    id: str
    parent: str | None  # W3C traceparent
    code: str = UNKNOWN
    images: int = 0


class Observer:
    """Tells of calls and images.

    Args:
        metrics: where they are counted.
        tracing: where spans go.
        log_texts: whether the log says what was read.
    """

    def __init__(self, metrics: Metrics, tracing: Tracing, log_texts: bool) -> None:
        self.metrics, self.tracing, self.log_texts = metrics, tracing, log_texts

    @contextmanager
    def call(self, method: str, context: grpc.aio.ServicerContext) -> Iterator[Call]:
        """Watch a call; it is counted when it ends, however it does."""
        told = dict(context.invocation_metadata() or ())
        asked = str(told.get(REQUEST_ID, ""))
        id_ = asked if ALLOWED_ID.fullmatch(asked) else uuid.uuid4().hex
        call = Call(method, id_, told.get("traceparent"))
        context.set_trailing_metadata(((REQUEST_ID, id_),))
        try:
            yield call
            call.code = "OK"
        except (asyncio.CancelledError, GeneratorExit):  # the latter, in a stream
            if call.code == UNKNOWN:
                call.code = "CANCELLED"
            raise
        finally:
            self.metrics.requests.labels(method, call.code).inc()

    def read(
        self,
        call: Call,
        image: pb.Image,
        began: float,
        answer: Answer,
        response: pb.RecognizeResponse,
    ) -> None:
        """Tell of an image that was read; `began` is when it came, seconds since the epoch."""
        took = time.time() - began
        self.metrics.count_reading(answer, response)
        self.metrics.seconds.labels("total").observe(took)
        self._tell(call, image, "OK", "", answer, took, response)
        self.tracing.image(call, began, took, answer.seconds, "OK")

    def failed(self, call: Call, image: pb.Image, began: float, error: DigitstripError) -> None:
        """Tell of an image that was not read."""
        took = time.time() - began
        if isinstance(error, Overloaded | DeadlineTooShort):
            self.metrics.refused.labels(error.reason).inc()
        self._tell(call, image, error.code, error.reason, None, took, None)
        self.tracing.image(call, began, took, {}, error.code)

    def given_up(self, call: Call, image: pb.Image, began: float, expired: bool) -> None:
        """Tell of an image whose caller left before the answer."""
        call.code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
        self._tell(call, image, call.code, "", None, time.time() - began, None)

    def turned_away(self, method: str) -> None:
        """Count a call without a token that is known."""
        self.metrics.refused.labels("UNAUTHENTICATED").inc()
        self.metrics.requests.labels(method, "UNAUTHENTICATED").inc()

    def _tell(
        self,
        call: Call,
        image: pb.Image,
        code: str,
        reason: str,
        answer: Answer | None,
        took: float,
        response: pb.RecognizeResponse | None,
    ) -> None:
        self.metrics.images.labels(code, reason).inc()
        call.images += 1
        if not logger.isEnabledFor(logging.INFO):
            return
        told: dict[str, object] = {
            "id": call.id,
            "method": call.method,
            "image": call.images,
            "code": code,
            "bytes": image.ByteSize(),  # of the message; reading a field would copy it
            "total_ms": round(1e3 * took, 2),
        }
        if reason:
            told["reason"] = reason
        if answer is not None and response is not None:
            told["pixels"] = answer.pixels
            told |= {
                f"{stage}_ms": round(1e3 * spent, 2) for stage, spent in answer.seconds.items()
            }
            told["model"] = response.model_digest[:12]
            if self.log_texts:
                told["text"] = response.text
        logger.info("image", extra=told)
