"""OpenTelemetry spans: off unless the setting `tracing` is on; needs the extra `otel`.

One span an image, with a child span for each stage. The caller's span is the parent if the call
carries a W3C traceparent.
"""

from collections.abc import Mapping
from typing import Any

from service.errors import SettingsError
from service.serving.observability.call import Call

STAGES = ("queue", "decode", "normalize", "score", "search")  # in the order of the pipeline
NANO = 1e9


class NoOpTracer:
    """Discards all spans."""

    def image(
        self, call: Call, began: float, took: float, seconds: Mapping[str, float], code: str
    ) -> None:
        """Record an image; `began` in seconds since the epoch, `seconds` by stage."""

    def close(self) -> None:
        """Send pending spans."""


class OpenTelemetryTracer(NoOpTracer):
    """Sends spans over OTLP, to where the standard variables OTEL_EXPORTER_OTLP_* point.

    Raises:
        SettingsError: the extra `otel` is not installed.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise SettingsError(
                "tracing needs OpenTelemetry: pip install 'digitstrip[otel]'"
            ) from error
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "digitstrip"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("digitstrip")
        # Functions of a library that is imported only here: their types cannot be named above.
        self._context_of: Any = propagate.extract
        self._in_span: Any = trace.set_span_in_context
        self._failed = trace.Status(trace.StatusCode.ERROR)

    def image(
        self, call: Call, began: float, took: float, seconds: Mapping[str, float], code: str
    ) -> None:
        """Send a span with its stages."""
        parent = self._context_of({"traceparent": call.parent}) if call.parent else None
        span = self._tracer.start_span(
            f"digitstrip.v1.RecognizerService/{call.method}",
            context=parent,
            start_time=int(began * NANO),
            attributes={"rpc.system": "grpc", "digitstrip.code": code, "digitstrip.id": call.id},
        )
        if code != "OK":
            span.set_status(self._failed)
        at = began
        for stage in STAGES:
            if stage in seconds:
                inner = self._tracer.start_span(
                    stage, self._in_span(span), start_time=int(at * NANO)
                )
                at += seconds[stage]
                inner.end(int(at * NANO))
        span.end(int((began + took) * NANO))

    def close(self) -> None:
        """Send pending spans."""
        self._provider.shutdown()
