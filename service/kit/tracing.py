"""Traces that cost nothing where they are not taken: whether a request is sampled is decided before any span exists.

OpenTelemetry's own instrumentation makes a span for each request and then asks the sampler; that alone doubles the cost
of a small request. Here a request that is not sampled never meets the SDK. What is exported, and where to, is said by
the standard OTEL_* variables; without an endpoint nothing is sampled and nothing of the SDK is imported.
"""

import asyncio
import os
import random
import time
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
_SCOPE: Final = "tasks"
_TOGETHER_S: Final = 0.5
_MOST_HITS: Final = 100


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

    def __init__(self, provider: "TracerProvider", processor: "SpanProcessor", ratio: float) -> None:
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._provider = provider
        self._processor = processor
        self._tracer = provider.get_tracer(_SCOPE)
        self._scope = InstrumentationScope(_SCOPE)
        self._ratio = ratio
        self._hits: list[tuple[str, str, str, int, int, int]] = []

    def samples(self, traceparent: str) -> bool:
        """Decides for one request. A ``traceparent`` that is not valid counts as none."""
        if telemetry.is_traceparent(traceparent):
            return bool(int(traceparent[-2:], 16) & _SAMPLED)
        return random.random() < self._ratio  # noqa: S311 (a share, not a secret)

    def begin(self, traceparent: str, method: str) -> Sampled | None:
        """None for a request that is not sampled."""
        if not self.samples(traceparent):
            return None
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        attributes = {"http.request.method": method}
        span = self._tracer.start_span(method, context=parent, kind=SpanKind.SERVER, attributes=attributes)
        return Sampled(self._tracer, span)

    def hit(self, trace_id: str, traceparent: str, route: str, status: int, duration_s: float) -> None:
        """A sampled hit that is over. Its spans are made some time later, many together: code that runs once in twenty
        requests is cold each time, and took ten times as long as it does in a row.
        """
        if not self._hits:
            asyncio.get_running_loop().call_later(_TOGETHER_S, self._tell)
        self._hits.append((trace_id, traceparent, route, status, time.time_ns(), int(duration_s * 1e9)))
        if len(self._hits) >= _MOST_HITS:
            self._tell()

    def _tell(self) -> None:
        hits, self._hits = self._hits, []
        for hit in hits:
            self._make(*hit)

    def _make(self, trace_id: str, traceparent: str, route: str, status: int, ended_ns: int, duration_ns: int) -> None:
        """The spans of the server and the cache. Nothing happens inside, so they are made whole: a span that is begun,
        changed and ended costs five times as much.
        """
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

        trace, flags = int(trace_id, 16), TraceFlags(_SAMPLED)
        began_ns = ended_ns - duration_ns
        parent = None
        if telemetry.is_traceparent(traceparent):
            parent = SpanContext(trace, int(traceparent[36:52], 16), is_remote=True, trace_flags=flags)
        server = SpanContext(trace, random.getrandbits(64) or 1, is_remote=False, trace_flags=flags)
        cache = SpanContext(trace, random.getrandbits(64) or 1, is_remote=False, trace_flags=flags)
        asked: dict[str, str | int] = {"http.request.method": "GET", "http.route": route}
        asked["http.response.status_code"] = status
        found: dict[str, str | int] = {"tasks.cache.tier": "process"}
        for name, context, above, kind, said in (
            ("cache", cache, server, SpanKind.CLIENT, found),
            (f"GET {route}", server, parent, SpanKind.SERVER, asked),
        ):
            self._processor.on_end(
                ReadableSpan(
                    name, context, above, self._provider.resource, said, kind=kind, start_time=began_ns,
                    end_time=ended_ns, instrumentation_scope=self._scope,
                )
            )  # fmt: skip

    def close(self) -> None:
        """Sends what is waiting, as long as the exporter's own time limit allows."""
        self._tell()
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
    return Tracing(provider, processor, ratio)


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
