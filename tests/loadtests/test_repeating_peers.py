"""The peers that repeat recorded answers send them byte for byte, and the table's servers are well formed."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message

from loadtests import instructions
from loadtests.bench import Options, Result
from loadtests.cases import CASES
from loadtests.inprocess import receive, scope_of
from loadtests.peers import bare, raw
from loadtests.report import to_json, to_text
from loadtests.servers import ServerError

HEADERS = [("content-type", "application/json"), ("content-length", "2"), ("etag", '"x"')]
BODIES = {"/api/v1/tasks": "[]", "/api/v1/auth/me": "{}", "": "42"}


@pytest.mark.parametrize("create", [raw.create_app, bare.create_app])
def test_a_recorded_answer_is_repeated_in_full(tmp_path: Path, create: Callable[[dict[str, str]], ASGIApp]) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({path: {"headers": HEADERS, "body": body} for path, body in BODIES.items()}))
    app = create({"PEER_ANSWERS": str(answers)})
    for path, body in {"/api/v1/tasks?page=1": "[]", "/api/v1/auth/me": "{}", "/api/v1/tasks/7": "42"}.items():
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        async def ask(path: str = path, send: Callable[[Message], object] = send) -> None:
            await app(scope_of(path, "token"), receive, send)  # type: ignore[arg-type]  # its result is not looked at

        asyncio.run(ask())
        assert sent[0]["status"] == 200
        assert [(name.decode(), value.decode()) for name, value in sent[0]["headers"]] == HEADERS
        assert sent[1]["body"] == body.encode()


def test_without_valgrind_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ServerError, match="apt-get install valgrind"):
        instructions.valgrind()


def test_counted_instructions_have_a_verdict_in_both_forms() -> None:
    counted = Result(Options(cases=[*CASES]), instructions={"product": 60_000.0, "fastapi": 100_000.0})
    assert "0.600, at most 0.7: met" in to_text(counted)
    assert json.loads(json.dumps(to_json(counted)))["instructions"]["verdict"] == "met"
    assert to_json(Result(Options()))["instructions"] == {}
