"""Whose address a request has: the peer's, unless the peer is a proxy of ours that says otherwise."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.types import Scope

_FORWARDED: Final = b"x-forwarded-for"
_LONGEST: Final = 2048


class Addresses:
    """``trusted`` networks may say whom they forward; ``hops`` proxies of ours stand between client and process.

    Counted from the right: each proxy appends the peer it saw, and what stands further left is the client's own claim.
    """

    def __init__(self, trusted: Sequence[str], hops: int) -> None:
        """Raises ValueError for what is no network."""
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(network) for network in trusted]
        self._hops = hops
        self._is_trusted = lru_cache(maxsize=1024)(self._find)

    def of(self, scope: Scope) -> str:
        """What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which one client has whole."""
        client = scope.get("client")
        peer = client[0] if client else ""
        if not self._trusted or not self._is_trusted(peer):
            return _subject(peer)
        # Several lines are one list (RFC 9110, 5.3): the last line alone could be the client's.
        claimed = b",".join(value for name, value in scope["headers"] if name == _FORWARDED)
        entries = claimed[-_LONGEST:].decode("latin-1").split(",")
        if len(entries) < self._hops:
            return _subject(peer)
        return _subject(entries[-self._hops].strip()) or _subject(peer)

    def _find(self, peer: str) -> bool:
        address = _parsed(peer)
        return address is not None and any(address in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _subject(text: str) -> str:
    address = _parsed(text)
    if address is None:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((address, 64), strict=False))
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
