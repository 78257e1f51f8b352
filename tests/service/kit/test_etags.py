"""Entity tags against the grammar and the comparisons of RFC 9110, sections 8.8.3 and 13.1."""

import pytest
from starlette.requests import Request

from service.kit import etags
from service.kit.problems import Stale

TAG = '"abc"'


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw})


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ('"x","abc","y"', True),
        (' "x" ,\tW/"abc" ', True),
        ("*", True),
        (" * ", True),
        ('"x, abc"', False),
        ('"abcd"', False),
        ('"ABC"', False),
        ("abc", False),
        ('"abc', False),
        ('"*"', False),
        ("", False),
        ('"\xe4"', False),
    ],
)
def test_if_none_match_compares_weakly(header: str, named: bool) -> None:  # noqa: FBT001
    assert etags.not_modified(request(if_none_match=header), TAG) is named


@pytest.mark.parametrize("header", ['"abc"', '"x", "abc"', "*", 'W/"x", "abc"'])
def test_if_match_takes_the_strong_tag(header: str) -> None:
    etags.require_match(request(if_match=header), TAG)


@pytest.mark.parametrize("header", ['W/"abc"', '"x"', "abc", "", '"abc', 'W/"abc", "x"'])
def test_if_match_refuses_everything_else(header: str) -> None:
    with pytest.raises(Stale):
        etags.require_match(request(if_match=header), TAG)


def test_without_a_header_there_is_no_condition() -> None:
    assert not etags.has_condition(request())
    assert not etags.not_modified(request(), TAG)
    etags.require_match(request(), TAG)


def test_the_tag_of_bytes_is_theirs_alone_and_always_the_same() -> None:
    assert etags.of_bytes(b"one") == etags.of_bytes(b"one") != etags.of_bytes(b"two")
    tag = etags.of_bytes(b"one")
    assert etags.not_modified(request(if_none_match=tag), tag)
