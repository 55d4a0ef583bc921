"""Observability of calls and images: a log line, metrics, and a span where tracing is on.

No image, text or token is recorded, unless `log_texts` enables texts.
"""

import asyncio
import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from service.errors import DeadlineTooShort, DigitstripError, Overloaded
from service.serving.observability.call import REQUEST_ID, UNKNOWN, Call
from service.serving.observability.metrics import Metrics
from service.serving.observability.tracing import NoOpTracer
from service.workers.admission_queue import Answer

SUM_SECONDS = 1.0  # over which the log sums refused calls up
ALLOWED_ID = re.compile(r"[!-~]{1,64}")  # printable, and short enough for a log

logger = logging.getLogger(__name__)


class Observer:
    """Records calls and images.

    Args:
        metrics: counts them.
        tracer: sends spans.
        log_texts: whether the log contains the texts.
    """

    def __init__(self, metrics: Metrics, tracer: NoOpTracer, log_texts: bool) -> None:
        self.metrics, self.tracer, self.log_texts = metrics, tracer, log_texts
        self._refused: Counter[tuple[str, str, str]] = Counter()  # not yet logged

    @contextmanager
    def call(self, method: str, metadata: Mapping[str, str | bytes]) -> Iterator[Call]:
        """Observe a call; it is counted when it ends, however it ends.

        Args:
            method: its name.
            metadata: that it came with, the headers in HTTP's words.
        """
        requested = str(metadata.get(REQUEST_ID, ""))
        id_ = requested if ALLOWED_ID.fullmatch(requested) else uuid.uuid4().hex
        parent = metadata.get("traceparent")
        call = Call(method, id_, parent if isinstance(parent, str) else None)
        try:
            yield call
            if call.code == UNKNOWN:
                call.code = "OK"
        except (asyncio.CancelledError, GeneratorExit):  # the latter, in a stream
            if call.code == UNKNOWN:
                call.code = "CANCELLED"
            raise
        finally:
            self.metrics.requests.labels(method, call.code).inc()

    def recognized(self, call: Call, size: int, began: float, answer: Answer) -> None:
        """Record an image that was recognized.

        Args:
            call: that the image came with.
            size: of its request, bytes.
            began: when it was received, seconds since the epoch.
            answer: of the worker.
        """
        took = time.time() - began
        self.metrics.count_answer(answer)
        self.metrics.seconds.labels("total").observe(took)
        self._record(call, size, "OK", "", answer, took)
        self.tracer.image(call, began, took, answer.seconds, "OK")

    def failed(self, call: Call, size: int, began: float, error: DigitstripError) -> None:
        """Record an image that was not recognized."""
        took = time.time() - began
        if isinstance(error, Overloaded | DeadlineTooShort):
            self.metrics.refused.labels(error.reason).inc()
        self._record(call, size, error.code, error.reason, None, took)
        self.tracer.image(call, began, took, {}, error.code)

    def given_up(self, call: Call, size: int, began: float, expired: bool) -> None:
        """Record an image whose caller left before the answer."""
        call.code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
        self._record(call, size, call.code, "", None, time.time() - began)

    def refused(self, method: str, code: str, reason: str) -> None:
        """Record a call that ended before its method was called.

        The log sums such calls up once a second: many of them must not fill it.
        """
        self.metrics.requests.labels(method, code).inc()
        self.stream_refused(method, code, reason)

    def shed(self, method: str, error: DigitstripError) -> None:
        """Record a call, of one image, that was refused because the server is busy."""
        self.metrics.images.labels(error.code, error.reason).inc()
        self.refused(method, error.code, error.reason)

    def stream_refused(self, method: str, code: str, reason: str) -> None:
        """Record a stream of which no further message is received; `call` counts it as a call."""
        self.metrics.refused.labels(reason).inc()
        if not self._refused:
            asyncio.get_running_loop().call_later(SUM_SECONDS, self._log_refused)
        self._refused[method, code, reason] += 1

    def _log_refused(self) -> None:
        for (method, code, reason), calls in self._refused.items():
            fields = {"method": method, "code": code, "reason": reason, "calls": calls}
            logger.info("calls refused", extra=fields)
        self._refused.clear()

    def _record(
        self, call: Call, size: int, code: str, reason: str, answer: Answer | None, took: float
    ) -> None:
        self.metrics.images.labels(code, reason).inc()
        call.images += 1
        if not logger.isEnabledFor(logging.INFO):
            return
        fields: dict[str, object] = {
            "id": call.id,
            "method": call.method,
            "image": call.images,
            "code": code,
            "bytes": size,
            "total_ms": round(1e3 * took, 2),
        }
        if reason:
            fields["reason"] = reason
        if answer is not None:
            fields["pixels"] = answer.pixels
            fields |= {
                f"{stage}_ms": round(1e3 * spent, 2) for stage, spent in answer.seconds.items()
            }
            fields["model"] = answer.digest[:12]
            if self.log_texts:
                fields["text"] = answer.text
        logger.info("image", extra=fields)
