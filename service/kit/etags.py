"""Entity tags and the two conditional headers (RFC 9110 section 13)."""

import re
from hashlib import blake2b

from starlette.requests import Request

from service.kit.problems import Stale

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def of_bytes(body: bytes) -> str:
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def not_modified(request: Request, etag: str) -> bool:
    """Whether ``If-None-Match`` already names the tag; the comparison is weak, as the RFC has it for a GET."""
    header = _field(request, "if-none-match")
    return header is not None and names(header, etag, weak=True)


def has_condition(request: Request) -> bool:
    return "if-match" in request.headers


def require_match(request: Request, etag: str) -> None:
    """Raises :class:`Stale` when ``If-Match`` is sent and does not name the tag; weak tags never match."""
    header = _field(request, "if-match")
    if header is not None and not names(header, etag, weak=False):
        raise Stale


def _field(request: Request, name: str) -> str | None:
    """A list may be spread over several header lines (RFC 9110, 5.3)."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


def names(header: str, etag: str, *, weak: bool) -> bool:
    return header.strip() == "*" or any(tag == etag and (weak or not prefix) for prefix, tag in _TAG.findall(header))
