"""The document: complete, and true of what is sent. Each answer in these folders is held against it as well."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from service.kit.problems import MEDIA_TYPE, Problem
from tests.support.client import Client
from tests.support.document import Document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def problems_below(problem: type[Problem]) -> Iterator[type[Problem]]:
    """Every problem of the service; tests may have some of their own."""
    for below in problem.__subclasses__():
        if below.__module__.startswith("service."):
            yield below
        yield from problems_below(below)


def examples_of(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Status, schema and example of each failure that an operation documents."""
    for status, response in operation["responses"].items():
        for media in response.get("content", {}).values():
            for example in media.get("examples", {}).values():
                yield status, media["schema"], example["value"]


async def test_the_document_is_served_as_it_is_printed(shared: Client, openapi_document: dict[str, Any]) -> None:
    response = await shared.get("//openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == json.loads(json.dumps(openapi_document))
    assert response.json()["openapi"].startswith("3.1.")


def test_every_reference_leads_somewhere(openapi_document: dict[str, Any]) -> None:
    text = json.dumps(openapi_document)
    names = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names == set(openapi_document["components"]["schemas"])


def test_every_operation_documents_its_failures(openapi_document: dict[str, Any]) -> None:
    for name, operation in operations(openapi_document):
        documented = set(operation["responses"])
        assert documented >= {"400", "431", "500", "503"}, name
        assert [status for status in documented if status.startswith("2")], name
        assert ("401" in documented) or not operation.get("security"), name
        assert ("requestBody" in operation) is (documented >= {"413", "415"}), name
        for status, response in operation["responses"].items():
            if status >= "400":
                assert MEDIA_TYPE in response["content"], f"{name} {status}"
        assert "HTTPValidationError" not in json.dumps(operation), name


def test_every_code_is_in_the_document_and_every_code_there_exists(openapi_document: dict[str, Any]) -> None:
    codes = {problem.code for problem in problems_below(Problem)}
    listed = set(openapi_document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    assert codes <= listed
    shown = {
        example["code"] for _, operation in operations(openapi_document) for _, _, example in examples_of(operation)
    }
    assert shown <= codes
    # What belongs to no route, and what is only the base of others.
    assert codes - shown == {"bad_request", "not_found", "method_not_allowed", "forbidden"}


def test_every_example_is_what_its_schema_says(openapi_document: dict[str, Any]) -> None:
    document = Document(openapi_document)
    for name, operation in operations(openapi_document):
        for status, schema, example in examples_of(operation):
            assert document.errors(schema, example) == [], f"{name} {status}"
            assert str(example["status"]) == status, name
    for name, schema in openapi_document["components"]["schemas"].items():
        for member, described in schema.get("properties", {}).items():
            values = [*described.get("examples", ())]
            values += [described["default"]] if "default" in described else []
            for value in values:
                assert document.errors(described, value) == [], f"{name}.{member}: {value}"


async def test_what_the_examples_of_a_body_say_is_taken(shared: Client, openapi_document: dict[str, Any]) -> None:
    user = await shared.user()
    schemas = openapi_document["components"]["schemas"]
    for path, name in (("/auth/register", "Register"), ("/tasks", "CreateTask"), ("/auth/login", "Login")):
        members = schemas[name]["properties"].items()
        body = {member: described["examples"][0] for member, described in members if "examples" in described}
        assert body.keys() >= set(schemas[name]["required"])
        assert (await shared.post(path, user, json=body)).is_success, path


def test_what_a_client_sends_is_closed_and_what_it_gets_is_complete(openapi_document: dict[str, Any]) -> None:
    schemas = openapi_document["components"]["schemas"]
    for name, operation in operations(openapi_document):
        if "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert schemas[body]["additionalProperties"] is False, name
    for name in ("Data_TaskList_", "Data_OneTaskWithOwner_", "DoneWith_Registered_", "Done", "TaskOut", "Problem"):
        optional = set(schemas[name]["properties"]) - set(schemas[name]["required"])
        assert optional <= {"traceId", "violated-policies"}, name
    assert schemas["PreferencesBody"]["properties"]["pageSize"]["anyOf"][0]["maximum"] == 100
    assert "default" not in json.dumps(schemas["UpdateTask"])


async def test_the_checker_of_answers_finds_what_it_looks_for(shared: Client, openapi_document: dict[str, Any]) -> None:
    broken = copy.deepcopy(openapi_document)
    del broken["paths"]["/api/v1/tasks"]["get"]["responses"]["401"]
    del broken["paths"]["/api/v1/auth/me"]["get"]["responses"]["200"]["content"]["application/json"]
    del broken["paths"]["/health/live"]
    del broken["components"]["schemas"]["TaskOut"]["properties"]["userId"]
    del broken["paths"]["/api/v1/tasks/{id}"]["get"]["responses"]["404"]["content"][MEDIA_TYPE]["examples"][
        "task_not_found"
    ]
    user = await shared.user()
    await shared.task(user)
    document = Document(broken)
    for response in (
        await shared.get("/tasks"),
        await shared.get("/auth/me", user),
        await shared.get("//health/live"),
        await shared.get("/tasks", user),
        await shared.get("/tasks/9007199254740991", user),
        await shared.get("/users/me/preferences", user),
    ):
        await document.check(response)
    assert [fault.partition(": ")[0] for fault in document.faults] == [
        "GET /api/v1/tasks 401",
        "GET /api/v1/auth/me 200",
        "GET /health/live 200",
        "GET /health/live 200",
        "GET /api/v1/tasks 200",
        "GET /api/v1/tasks/9007199254740991 404",
    ]


async def test_docs_are_a_page_that_its_own_policy_lets_work(shared: Client) -> None:
    response = await shared.get("//docs")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "/openapi.json" in response.text
    policy = response.headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    for source in {part.partition('"')[0] for part in response.text.split('="https://')[1:]}:
        assert f"https://{source.partition('/')[0]}" in policy
