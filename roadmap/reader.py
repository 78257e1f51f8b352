"""Reads tables of TOML or JSON into frozen dataclasses, driven by their annotations.

Understood are dataclasses, `bool`, `int`, `float`, `str`, `StrEnum`, `Literal` of texts, `X | None`, `tuple[X, ...]`
and `Sequence[X]` (a tuple too), `Mapping[str, X]`, and `Annotated[X, Rule(...)]` around any of them. An unknown key is
refused, and so is a missing one unless its type allows `None`: a default would hide a forgotten row.
"""

import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


class RoadmapError(Exception):
    """The roadmap is refused: `key` is the path to the fault (`phases.2.targets.p95_ms`; empty when the whole file
    is at fault), `reason` says what is wrong with it.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key = key
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on one value, for use inside `Annotated`; `reason` reads as "must ..."."""

    holds: Callable[[Any], bool]
    reason: str


def read_toml(text: str) -> dict[str, Any]:
    """Parse, or refuse with the line: also for a text that breaks off, where tomllib does not say it."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        last_line = len(text.splitlines())
        detail = str(error).replace("at end of document", f"at the end, line {last_line}")
        raise RoadmapError("", f"not valid TOML: {detail}") from error


def read_plain(kind: type[T], value: object, at: str) -> T:
    """One value of a TOML type. The type must match exactly (a bool is not an int), save that an int is a number."""
    if type(value) is kind or (kind is float and type(value) is int):
        return value  # type: ignore[return-value]  # an int is welcome where T is float
    raise RoadmapError(at, "missing" if value is None else f"must be {_WORDS[kind]}, is {value!r}")


def read_table(kind: type[T], value: object, at: str, **given: object) -> T:
    """One dataclass from the table at path `at`. Fields in `given` are passed on as they are, and are no keys."""
    table = read_plain(dict, value, at)
    hints = get_type_hints(kind, include_extras=True)
    known = [name for name in hints if name not in given]
    for key in table:
        if key not in known:
            raise RoadmapError(f"{at}.{key}" if at else key, f"unknown key; known here: {', '.join(known)}")
    read = {name: _read(hints[name], table.get(name), f"{at}.{name}" if at else name) for name in known}
    return kind(**given, **read)


def _read(hint: Any, value: object, at: str) -> Any:
    """Any understood annotation. TOML has no null, so a `value` of None is a key that is not there."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # X | None
        return None if value is None else _read(inner[0], value, at)
    if origin is Annotated:
        return _obeying(inner[1:], _read(inner[0], value, at), at)
    if origin is Literal:
        return _one_of(inner, read_plain(str, value, at), at)
    if origin in (tuple, Sequence):
        return tuple(_read(inner[0], item, f"{at}.{index}") for index, item in enumerate(read_plain(list, value, at)))
    if origin is Mapping:
        return {key: _read(inner[1], item, f"{at}.{key}") for key, item in read_plain(dict, value, at).items()}
    return _read_class(hint, value, at)


def _read_class(kind: type, value: object, at: str) -> Any:
    if is_dataclass(kind):
        return read_table(kind, value, at)
    if issubclass(kind, StrEnum):
        return kind(_one_of(tuple(kind), read_plain(str, value, at), at))
    return read_plain(kind, value, at)


def _obeying(rules: tuple[Rule, ...], value: Any, at: str) -> Any:
    for rule in rules:
        if not rule.holds(value):
            raise RoadmapError(at, f"{rule.reason}, is {value!r}")
    return value


def _one_of(words: tuple[str, ...], value: str, at: str) -> str:
    if value not in words:
        raise RoadmapError(at, f"must be one of {', '.join(words)}, is {value!r}")
    return value
