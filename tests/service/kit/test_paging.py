"""Cursors carry a position unread and unchanged, and open the list that they were made for and no other."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from service.kit.paging import Cursors, PageQuery, total_pages
from service.kit.problems import ValidationFailed

CURSORS = Cursors(b"k" * 32)
CONTEXT = ("tasks", 7, None, "", "-createdAt")


@pytest.mark.parametrize(
    "position", [("2025-01-01T00:00:00.000Z", 1), ("Ünï \N{GRINNING FACE} \"'\\", 2**53 - 1), ("", 1)]
)
def test_a_position_comes_back_as_it_was(position: tuple[Any, ...]) -> None:
    assert CURSORS.open(CURSORS.seal(position, CONTEXT), CONTEXT) == list(position)


def test_a_cursor_needs_no_escaping_in_an_address() -> None:
    for number in range(200):
        assert CURSORS.seal((f"title {number}", number), CONTEXT).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("character", ["x", "\xe4", "\N{GRINNING FACE}", '"', "\x01"])
def test_the_position_of_the_longest_title_fits(character: str) -> None:
    position = (character * 100, 2**53 - 1)
    sealed = CURSORS.seal(position, CONTEXT)
    assert len(sealed) <= 1024
    assert CURSORS.open(sealed, CONTEXT) == list(position)


@pytest.mark.parametrize(
    "context",
    [
        ("tasks", 8, None, "", "-createdAt"),
        ("tasks", 7, "PENDING", "", "-createdAt"),
        ("tasks", 7, None, "x", "-createdAt"),
        ("tasks", 7, None, "", "createdAt"),
        ("users", 7, None, "", "-createdAt"),
        ("tasks", 7, "", "", "-createdAt"),
        ("tasks", "7", None, "", "-createdAt"),
    ],
)
def test_another_list_refuses_it(context: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationFailed):
        CURSORS.open(CURSORS.seal(("a", 1), CONTEXT), context)


def test_another_key_refuses_it() -> None:
    with pytest.raises(ValidationFailed):
        Cursors(b"j" * 32).open(CURSORS.seal(("a", 1), CONTEXT), CONTEXT)


def test_no_single_change_goes_unnoticed() -> None:
    sealed = CURSORS.seal(("2025-01-01T00:00:00.000Z", 12345), CONTEXT)
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(ValidationFailed):
            CURSORS.open(base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), CONTEXT)


@pytest.mark.parametrize("cursor", ["", "A", "AAAA", "====", "ä", "a b", "A" * 1025, "\x00"])
def test_what_never_was_a_cursor_is_refused_like_the_rest(cursor: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        CURSORS.open(cursor, CONTEXT)
    assert [error.field for error in caught.value.errors] == ["cursor"]


@pytest.mark.parametrize(("total", "limit", "pages"), [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (100, 1, 100)])
def test_the_last_page_may_be_short(total: int, limit: int, pages: int) -> None:
    assert total_pages(total, limit) == pages


def test_pages_have_defaults_and_bounds() -> None:
    assert (PageQuery().page, PageQuery().limit) == (1, 10)
    for wrong in ({"page": 0}, {"limit": 0}, {"limit": 101}, {"page": 2**53}, {"offset": 1}):
        with pytest.raises(ValidationError):
            PageQuery.model_validate(wrong)
