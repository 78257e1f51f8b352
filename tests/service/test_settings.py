"""TASKS_* variables: read once, frozen, and a wrong one is named."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.settings import Settings

URL = "postgresql://tasks@127.0.0.1:5432/tasks?passfile=/run/secrets/passfile"


@pytest.fixture(autouse=True)
def _url_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", URL)


def wrong(error: ValidationError) -> list[str]:
    """The variables that pydantic complains about."""
    return ["TASKS_" + "_".join(map(str, finding["loc"])).upper() for finding in error.errors()]


def test_the_url_of_the_database_is_enough() -> None:
    settings = Settings()
    assert settings.database.url.get_secret_value() == URL
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 5000)
    assert settings.cors.origins == ("http://localhost:3000",)
    assert settings.tokens.lifetime_s == 7 * 24 * 3600
    assert settings.http.body_limit_bytes == 64 * 1024
    assert (settings.passwords.memory_kib, settings.passwords.passes, settings.passwords.threads) == (19 * 1024, 2, 1)
    assert settings.tokens.revocation_poll_s <= 2.0
    assert settings.http.docs


@pytest.mark.parametrize(
    ("name", "text", "group", "member", "value"),
    [
        ("TASKS_HTTP_PORT", "8080", "http", "port", 8080),
        ("TASKS_HTTP_DOCS", "false", "http", "docs", False),
        ("TASKS_HTTP_BODY_LIMIT_BYTES", "2048", "http", "body_limit_bytes", 2048),
        ("TASKS_DATABASE_READ_POOL_SIZE", "3", "database", "read_pool_size", 3),
        ("TASKS_TOKENS_FOLDER", "/var/lib/tokens", "tokens", "folder", Path("/var/lib/tokens")),
        (
            "TASKS_CORS_ORIGINS",
            "https://a.example, https://b.example,",
            "cors",
            "origins",
            ("https://a.example", "https://b.example"),
        ),
        ("TASKS_CORS_ORIGINS", "", "cors", "origins", ()),
        ("TASKS_ROOMS_NAMES", "tasks", "rooms", "names", ("tasks",)),
        ("TASKS_LOG_LEVEL", "debug", "log", "level", "DEBUG"),
    ],
)
def test_a_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, group: str, member: str, value: Any
) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(getattr(Settings(), group), member) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TASKS_HTTP_PORT", "http"),
        ("TASKS_HTTP_PORT", "70000"),
        ("TASKS_HTTP_PROT", "5000"),
        ("TASKS_DATABASE_READ_POOL_SIZE", "0"),
        ("TASKS_TOKENS_LIFETIME_S", "-1"),
        ("TASKS_TOKENS_REVOCATION_POLL_S", "2.5"),
        ("TASKS_LOG_LEVEL", "LOUD"),
        ("TASKS_DATABASE_URL", "nonsense"),
        ("TASKS_DATABASE_URL", "mysql://u:hunter2@h/db"),
        ("TASKS_DATABASE_URL", "postgresql://u:hunter2@[h/db"),
        ("TASKS_DATABASE_URL", "postgresql://h/db?hunter2=1"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert wrong(caught.value) == [name]
    assert "hunter2" not in "".join(finding["msg"] for finding in caught.value.errors())


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_HTTP_PORT", "x")
    monkeypatch.setenv("TASKS_METRICS_PORT", "y")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert wrong(caught.value) == ["TASKS_HTTP_PORT", "TASKS_METRICS_PORT"]


def test_settings_do_not_change_and_do_not_show_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", "postgresql://u:hunter2@h/db")
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.http.port = 1  # type: ignore[misc]  # what the test is about
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


def test_without_a_database_the_missing_group_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKS_DATABASE_URL")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert wrong(caught.value) == ["TASKS_DATABASE"]
