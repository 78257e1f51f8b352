"""JSON lines on stdout; one wide event a request. No header, body, query string or exception message is ever logged."""

import logging
import sys
import traceback
from types import TracebackType
from typing import Any

import structlog
from pydantic_core import to_json


def configure(level: str) -> None:
    """For the process, once: structlog for our events, and the libraries' log records in the same form."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso", utc=True, key="timestamp"),
            _without_message,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Records()], level=max(threshold, logging.WARNING), force=True)
    logging.getLogger("uvicorn").setLevel(max(threshold, logging.INFO))


def failure(error: BaseException) -> dict[str, Any]:
    """What of an exception may be logged: types and places. Messages carry values: parameters, rows, tokens."""
    chain: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 5:  # noqa: PLR2004 (the root cause is rarely deeper)
        entry: dict[str, Any] = {"type": f"{type(current).__module__}.{type(current).__qualname__}"}
        if state := getattr(current, "sqlstate", None):
            entry["sqlstate"] = state
        entry["stack"] = _frames(current.__traceback__)
        chain.append(entry)
        current = current.__cause__ or current.__context__
    return {"exception": chain}


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in traceback.extract_tb(trace)[-12:]]


def _without_message(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event.update(failure(error))
    return event


def _render(_: Any, __: str, event: structlog.typing.EventDict) -> bytes:
    return to_json(event, inf_nan_mode="strings", serialize_unknown=True)


class _Records(logging.Handler):
    """A library's record as one of our events."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # asyncio repeats the exception, values and all, below the first line.
        message = record.getMessage().partition("\n")[0]
        structlog.get_logger().log(record.levelno, message, source=record.name, **(failure(error) if error else {}))
