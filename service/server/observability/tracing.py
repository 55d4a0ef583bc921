"""OpenTelemetry spans, an extra: off unless asked for, and then sent where the user says.

A span an image, with the stages it went through; the caller's own span is its parent if the call
carries a W3C traceparent.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.errors import SettingsError

if TYPE_CHECKING:
    from service.server.observability.observer import Call

STAGES = ("queue", "decode", "normalize", "score", "search")  # in the order of an image's way
NANO = 1e9


class Tracing:
    """Tells nobody anything."""

    def image(
        self, call: "Call", began: float, took: float, seconds: Mapping[str, float], code: str
    ) -> None:
        """Tell of an image; `began` in seconds since the epoch, `seconds` by stage."""

    def close(self) -> None:
        """Send what was not sent yet."""


class OpenTelemetry(Tracing):
    """Sends spans over OTLP; the standard variables OTEL_EXPORTER_OTLP_* say where.

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
        self._context_of: Any = propagate.extract
        self._in_span: Any = trace.set_span_in_context
        self._failed = trace.Status(trace.StatusCode.ERROR)

    def image(
        self, call: "Call", began: float, took: float, seconds: Mapping[str, float], code: str
    ) -> None:
        """Send a span and its stages."""
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
        """Send what was not sent yet."""
        self._provider.shutdown()
