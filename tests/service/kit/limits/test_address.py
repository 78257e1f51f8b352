import pytest

from service.kit.limits.address import Addresses


def of(peer: str, *forwarded: str, trusted: tuple[str, ...] = ("127.0.0.0/8",), hops: int = 1) -> str:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return Addresses(trusted, hops).of({"client": (peer, 5000), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "expected"),
    [
        ("203.0.113.9", "6.6.6.6", 1, "203.0.113.9"),  # nobody told us to believe this peer
        ("127.0.0.1", "198.51.100.7", 1, "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.7", 1, "198.51.100.7"),  # what the client claimed stands further left
        ("127.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", 2, "198.51.100.7"),
        ("127.0.0.1", "198.51.100.7", 2, "127.0.0.1"),  # fewer entries than proxies: it did not come through them
        ("127.0.0.1", "nonsense", 1, "127.0.0.1"),
        ("127.0.0.1", None, 1, "127.0.0.1"),
        ("127.0.0.1", "2001:db8:1:2:3:4:5:6", 1, "2001:db8:1:2::/64"),
        ("127.0.0.1", "::ffff:198.51.100.7", 1, "198.51.100.7"),
    ],
)
def test_only_a_trusted_proxy_names_the_client(peer: str, forwarded: str | None, hops: int, expected: str) -> None:
    assert of(peer, *([] if forwarded is None else [forwarded]), hops=hops) == expected


def test_several_lines_are_one_list() -> None:
    assert of("127.0.0.1", "198.51.100.7", "10.0.0.2", hops=2) == "198.51.100.7"


def test_without_trusted_proxies_the_header_changes_nothing() -> None:
    assert of("127.0.0.1", "6.6.6.6", trusted=()) == "127.0.0.1"


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Addresses(("everywhere",), 1)
