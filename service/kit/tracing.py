"""Traces that cost nothing where they are not taken: whether a request is sampled is decided before any span exists.

OpenTelemetry's own instrumentation makes a span for each request and then asks the sampler; that alone doubles the cost
of a small request. Here a request that is not sampled never meets the SDK. What is exported, and where to, is said by
the standard OTEL_* variables; without an endpoint nothing is sampled and nothing of the SDK is imported.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from service.kit import telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DEFAULT_RATIO: Final = 0.05
_SAMPLED: Final = 1


class Sampled:
    """A request that is traced, and the way to make spans below it."""

    __slots__ = ("_tracer", "span")

    def __init__(self, tracer: "Tracer", span: "Span") -> None:
        self._tracer = tracer
        self.span = span

    @property
    def trace_id(self) -> str:
        return f"{self.span.get_span_context().trace_id:032x}"

    def child(self, name: str, attributes: dict[str, Any]) -> "Span":
        from opentelemetry.trace import SpanKind, set_span_in_context

        context = set_span_in_context(self.span)
        return self._tracer.start_span(name, context=context, kind=SpanKind.CLIENT, attributes=attributes)

    def end(self, route: str, status: int) -> None:
        from opentelemetry.trace import StatusCode

        self.span.update_name(f"{self.span.name} {route}")  # type: ignore[attr-defined]  # an SDK span has its name
        self.span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.span.set_status(StatusCode.ERROR)
        self.span.end()


_current: ContextVar[Sampled | None] = ContextVar("tasks_sampled", default=None)


class Tracing:
    """``ratio`` of the requests without a caller's decision are sampled; a caller's decision is followed."""

    def __init__(self, provider: "TracerProvider", ratio: float) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tasks")
        self._ratio = ratio

    def begin(self, traceparent: str, method: str) -> Sampled | None:
        """None for a request that is not sampled. A ``traceparent`` that is not valid counts as none."""
        if telemetry.is_traceparent(traceparent):
            if not int(traceparent[-2:], 16) & _SAMPLED:
                return None
        elif random.random() >= self._ratio:  # noqa: S311 (a share, not a secret)
            return None
        else:
            traceparent = ""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
        attributes = {"http.request.method": method}
        span = self._tracer.start_span(method, context=parent, kind=SpanKind.SERVER, attributes=attributes)
        return Sampled(self._tracer, span)

    def close(self) -> None:
        """Sends what is waiting, as long as the exporter's own time limit allows."""
        self._provider.shutdown()


def configured(processor: "SpanProcessor | None" = None) -> Tracing | None:
    """From the environment; None when it names no endpoint. ``processor`` takes the place of the exporter.

    Raises ValueError when OTEL_TRACES_SAMPLER_ARG is no number between 0 and 1.
    """
    if processor is None and not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    ratio = float(os.environ.get("OTEL_TRACES_SAMPLER_ARG") or _DEFAULT_RATIO)
    if not 0 <= ratio <= 1:
        raise ValueError("OTEL_TRACES_SAMPLER_ARG must lie between 0 and 1")
    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        processor = BatchSpanProcessor(OTLPSpanExporter())
    service = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "tasks-api")}
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.create(service))
    provider.add_span_processor(processor)
    return Tracing(provider, ratio)


@contextmanager
def within(sampled: Sampled) -> Iterator[None]:
    """What is awaited inside can make spans below the request's."""
    token = _current.set(sampled)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def spanning(name: str, **attributes: str) -> Iterator[None]:
    """A span below that of the request, if it is sampled; ``db_system_name`` becomes ``db.system.name``."""
    sampled = _current.get()
    if sampled is None:
        yield
        return
    span = sampled.child(name, {key.replace("_", "."): value for key, value in attributes.items()})
    try:
        yield
    finally:
        span.end()


def is_sampled() -> bool:
    return _current.get() is not None
