"""schemathesis plays the OpenAPI document against the service: what is documented is what is answered.

Not through its own pytest plugin: its ASGI transport opens an event loop for each request, and the pools of the
service live in one. Cases are made by its strategies, sent by our client, and judged by its checks.
"""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_api
from service.settings import Database, Settings
from tests.support.client import Client, User


def _without_security(document: dict[str, Any]) -> dict[str, Any]:
    """Who asks is decided here, not by a case."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return document


def document() -> dict[str, Any]:
    return _without_security(create_api(Settings(database=Database(url=SecretStr("postgresql://")))).openapi())


SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS: dict[str, Any] = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}  # type: ignore[union-attr]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("latin-1")


async def send(client: Client, case: Any, user: User) -> None:
    """Sends the case as it would stand on the wire, with the user's token."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url=str(client.http.base_url))).prepare()
    headers: dict[str, Any] = {name.lower(): value for name, value in prepared.headers.items()}
    headers["authorization"] = user.headers["Authorization"]
    raw = {name.encode(): _bytes(value) for name, value in headers.items()}
    content = b"" if prepared.body is None else _bytes(prepared.body)
    response = await client.http.request(str(prepared.method), str(prepared.url), headers=raw, content=content)
    case.validate_response(response, checks=CHECKS)


def cases(mode: GenerationMode) -> st.SearchStrategy[Any]:
    return st.sampled_from(sorted(OPERATIONS)).flatmap(lambda label: OPERATIONS[label].as_strategy(mode))


PLAY = settings(
    max_examples=250,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a found case is small enough to read; shrinking it takes minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("role", ["user", "admin"])
@PLAY
@given(case=cases(GenerationMode.POSITIVE))
async def test_answers_to_what_the_document_allows(shared: Client, role: str, case: Any) -> None:
    await send(shared, case, await (shared.admin() if role == "admin" else shared.user()))


@pytest.mark.parametrize("role", ["user", "admin"])
@PLAY
@given(case=cases(GenerationMode.NEGATIVE))
async def test_answers_to_what_the_document_forbids(shared: Client, role: str, case: Any) -> None:
    await send(shared, case, await (shared.admin() if role == "admin" else shared.user()))


@pytest.mark.parametrize("wrong", ["status", "media type", "member"])
async def test_a_wrong_document_is_found_out(shared: Client, wrong: str) -> None:
    """The negative control."""
    described = document()
    responses = described["paths"]["/api/v1/tasks"]["get"]["responses"]
    if wrong == "status":
        del responses["200"]
    elif wrong == "media type":
        responses["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        described["components"]["schemas"]["TaskList"]["required"].append("missing")
    case = schemathesis.openapi.from_dict(described)["/api/v1/tasks"]["GET"].Case()
    with pytest.raises(FailureGroup):
        await send(shared, case, await shared.user())
