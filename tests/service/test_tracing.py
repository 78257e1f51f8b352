"""A sampled request leaves a span of the server, of the cache and of each statement; any other leaves nothing."""

from collections.abc import AsyncIterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.kit import tracing
from service.settings import Settings
from tests.support.client import PASSWORD, Client, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    made = tracing.configured(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "configured", lambda: made)
    return exporter


@pytest.fixture
async def traced(settings: Settings, spans: InMemorySpanExporter) -> AsyncIterator[Client]:
    async with running(settings) as client:
        yield client


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


async def test_a_caller_who_samples_gets_the_server_and_each_statement(
    traced: Client, spans: InMemorySpanExporter
) -> None:
    user = await traced.user()
    response = await traced.get("/tasks?q=secret", user, headers={"traceparent": SAMPLED})
    assert response.status_code == 200

    finished = spans.get_finished_spans()
    [server] = named(finished, "GET /api/v1/tasks")
    [statement] = named(finished, "postgresql")
    assert {f"{span.context.trace_id:032x}" for span in finished if span.context} == {TRACE}
    assert statement.parent is not None
    assert server.context is not None
    assert statement.parent.span_id == server.context.span_id
    assert (server.attributes or {})["http.response.status_code"] == 200
    query = str((statement.attributes or {})["db.query.text"])
    assert "FROM tasks" in query
    assert "secret" not in query


async def test_who_does_not_sample_leaves_no_span(traced: Client, spans: InMemorySpanExporter) -> None:
    user = await traced.user()
    await traced.get("/tasks", user, headers={"traceparent": NOT_SAMPLED})
    await traced.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert spans.get_finished_spans() == ()


async def test_without_an_endpoint_there_is_no_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert tracing.configured() is None


def test_a_share_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "2")
    with pytest.raises(ValueError, match="between 0 and 1"):
        tracing.configured(SimpleSpanProcessor(InMemorySpanExporter()))
