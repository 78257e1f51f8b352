"""The two tiers and the word of Valkey: what comes in which order, and what is owed when it does not come at all."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.kit.cache.store import Store, _unpack
from service.kit.cache.tier import Answer
from service.kit.valkey import Command, Valkey, ValkeyGoneError, _Wire
from service.settings import Cache
from service.settings import Valkey as ValkeySettings
from tests.support.wait import until

_KEY = b"/tasks"


class FakeValkey:
    """Holds generations; ``during`` is called while a command is under way, before its replies are known."""

    def __init__(self) -> None:
        self.live = True
        self.sent: list[Command] = []
        self.generations: dict[Any, Any] = {}
        self.during: Callable[[Command], object] = lambda _: None
        self.pending = False

    def unread(self) -> bool:
        return self.pending

    def quiet(self) -> bool:
        return self.live and not self.pending

    async def call(self, *commands: Command) -> list[Any]:
        if not self.live:
            raise ValkeyGoneError
        replies = [self._do(command) for command in commands]
        for command in commands:
            self.during(command)
        return replies

    def _do(self, command: Command) -> Any:
        self.sent.append(command)
        match command:
            case ("SET", name, value, *options):
                if "NX" not in options or name not in self.generations:
                    self.generations[name] = value
                return b"OK"
            case ("GET", name):
                return self.generations.get(name)
            case ("PING",):
                self.pending = False
        return None


def store_on(valkey: Any) -> Store:
    store = Store(Cache())
    store.attach(valkey)
    return store


@pytest.fixture
def valkey() -> FakeValkey:
    return FakeValkey()


@pytest.fixture
def store(valkey: FakeValkey) -> Store:
    return store_on(valkey)


def answer() -> Answer:
    later = time.monotonic() + 60
    return Answer("page", b'"tag"', ((b"etag", b'"tag"'),), b"{}", later, later)


@pytest.mark.parametrize("told", [b"tasks:g:7", None], ids=["one key", "all keys"])
async def test_a_generation_that_ended_on_its_way_is_asked_for_again(
    store: Store, valkey: FakeValkey, told: bytes | None
) -> None:
    gets = 0

    def ends(command: Command) -> None:
        nonlocal gets
        if command[0] == "GET":
            gets += 1
            if gets == 1:
                valkey.generations[command[1]] = b"new"
                store.invalid(told)

    valkey.during = ends
    shelf = await store.shelf(7)
    assert shelf.generation == b"new"
    assert gets == 2


async def test_a_user_who_never_stops_writing_is_not_cached(store: Store, valkey: FakeValkey) -> None:
    valkey.during = lambda command: store.invalid(b"tasks:g:7") if command[0] == "GET" else None
    with pytest.raises(ValkeyGoneError):
        await store.shelf(7)
    assert (await store_on(FakeValkey()).shelf(7)).user_id == 7


async def test_another_users_write_overtakes_nobody(store: Store, valkey: FakeValkey) -> None:
    valkey.during = lambda _: store.invalid(b"tasks:g:8")
    await store.shelf(7)
    assert sum(command[0] == "GET" for command in valkey.sent) == 1


async def test_nothing_is_found_while_something_is_unread(store: Store, valkey: FakeValkey) -> None:
    shelf = await store.shelf(7)
    await store.keep(shelf, _KEY, answer())
    assert store.find(7, _KEY) is not None
    valkey.pending = True
    assert store.find(7, _KEY) is None
    await store.catch_up()
    assert store.find(7, _KEY) is not None


async def test_the_end_of_a_generation_is_awaited_and_then_asked_for(store: Store, valkey: FakeValkey) -> None:
    """The reply to what comes after the new generation: the others' invalidations have left by then."""
    shelf = await store.shelf(7)
    store._tier.put(shelf, _KEY, answer())
    valkey.sent.clear()
    seen: list[object] = []
    valkey.during = lambda command: seen.append((command[0], store.find(7, _KEY)))
    await store.end_generation([7])
    assert [command[:2] for command in valkey.sent] == [("SET", b"tasks:g:7"), ("PING",)]
    assert seen == [("SET", None), ("PING", None)]
    assert (await store.shelf(7)).generation != shelf.generation


async def test_who_wrote_while_valkey_was_away_is_not_cached_until_the_others_know(
    store: Store, valkey: FakeValkey
) -> None:
    before = (await store.shelf(7)).generation
    valkey.live = False
    await store.end_generation([7])
    valkey.live = True
    with pytest.raises(ValkeyGoneError):
        await store.shelf(7)
    assert (await store.shelf(8)).user_id == 8
    await store.settle(valkey.call)
    assert (await store.shelf(7)).generation != before
    assert valkey.sent.count(("SET", b"tasks:g:7")) == 0
    valkey.sent.clear()
    await store.settle(valkey.call)
    assert valkey.sent == []


async def test_a_debt_made_while_another_is_settled_stays(store: Store, valkey: FakeValkey) -> None:
    valkey.live = False
    await store.end_generation([7, 8])
    writes: list[int] = []

    async def call(*commands: Command) -> list[Any]:
        if not writes:
            await store.end_generation([7])
        writes.append(len(commands))
        return [b"OK" for _ in commands]

    await store.settle(call)
    assert writes == [2, 1]


async def test_a_debt_that_could_not_be_settled_stays(store: Store, valkey: FakeValkey) -> None:
    valkey.live = False
    await store.end_generation([7])
    with pytest.raises(ValkeyGoneError):
        await store.settle(valkey.call)
    valkey.live = True
    await store.settle(valkey.call)
    assert b"tasks:g:7" in valkey.generations


async def test_a_write_that_is_cancelled_before_the_others_know_owes_it(store: Store, valkey: FakeValkey) -> None:
    class Hung(FakeValkey):
        async def call(self, *commands: Command) -> list[Any]:
            self.sent += commands
            never: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            return await never

    hung = Hung()
    store.attach(hung)  # type: ignore[arg-type]  # a fake
    writing = asyncio.create_task(store.end_generation([7]))

    async def sent() -> bool:
        return bool(hung.sent)

    await until(sent, "the write waits for Valkey")
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await store.settle(valkey.call)
    assert b"tasks:g:7" in valkey.generations


async def test_debts_are_bounded(store: Store, valkey: FakeValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.kit.cache.store._MOST_OWED", 3)
    valkey.live = False
    for user_id in (1, 2, 3, 1, 4):
        await store.end_generation([user_id])
    valkey.live = True
    await store.settle(valkey.call)
    assert sorted(valkey.generations) == [b"tasks:g:1", b"tasks:g:3", b"tasks:g:4"]


@pytest.mark.parametrize(
    "packed", [b"", b"{}", b"[1]\nbody", b'["page","t","x","y",[]]\n', b'["page",1,2,3,[]]\n', b"\xff\n{}", b"null\n"]
)
def test_what_another_version_wrote_is_no_answer(packed: bytes) -> None:
    assert _unpack(packed) is None


class Sink(asyncio.Transport):
    """The writing side of a connection whose replies the test invents."""

    def __init__(self, ours: socket.socket) -> None:
        super().__init__({"socket": ours})
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def wired(sockets: tuple[socket.socket, socket.socket]) -> tuple[Store, _Wire, Sink]:
    """A store on a real wire whose bytes the test invents."""
    store = Store(Cache())
    valkey = Valkey(
        ValkeySettings(budget_s=1.0),
        on_invalid=store.invalid, on_message=lambda _: None, on_connect=store.settle, on_lost=store.forget,
    )  # fmt: skip
    store.attach(valkey)
    wire, sink = _Wire(store.invalid, lambda _: None), Sink(sockets[0])
    wire.connection_made(sink)
    valkey._wire = wire
    return store, wire, sink


_ENDED = b">2\r\n+invalidate\r\n*1\r\n$9\r\ntasks:g:7\r\n"


def asked(generation: bytes) -> bytes:
    """The replies to one question for a generation that was there."""
    return b"_\r\n+OK\r\n$%d\r\n%b\r\n" % (len(generation), generation)


async def test_an_invalidation_in_the_same_packet_as_the_generation_is_not_missed(
    wired: tuple[Store, _Wire, Sink],
) -> None:
    store, wire, sink = wired
    asking = asyncio.create_task(store.shelf(7))

    async def questions(count: int) -> bool:
        return sink.written.count(b"GET\r\n") == count

    await until(lambda: questions(1), "the generation is asked for")
    wire.data_received(asked(b"old") + _ENDED)
    await until(lambda: questions(2), "it is asked for again")
    wire.data_received(asked(b"new"))
    assert (await asking).generation == b"new"


async def test_what_waits_in_the_socket_is_read_before_anything_is_served(
    wired: tuple[Store, _Wire, Sink], sockets: tuple[socket.socket, socket.socket]
) -> None:
    store, wire, _ = wired
    store._tier.put(store._tier.open(7, b"g"), _KEY, answer())
    assert store.find(7, _KEY) is not None
    sockets[1].send(_ENDED)
    assert store.find(7, _KEY) is None
    wire.data_received(sockets[0].recv(100))
    assert store._tier.shelf(7) is None


async def test_a_lost_connection_is_not_trusted_from_its_last_moment_on(
    wired: tuple[Store, _Wire, Sink], sockets: tuple[socket.socket, socket.socket]
) -> None:
    """Before anybody has had the time to empty the tier, and whoever has the descriptor by then."""
    store, wire, _ = wired
    store._tier.put(store._tier.open(7, b"g"), _KEY, answer())
    sockets[1].close()
    assert store.find(7, _KEY) is None, "the end of the stream is something unread"
    wire.connection_lost(None)
    assert not store.on
    with pytest.raises(ValkeyGoneError):
        await store._attached().call(("PING",))


async def test_a_server_that_is_too_slow_is_left_alone_until_it_is_heard_again(
    wired: tuple[Store, _Wire, Sink],
) -> None:
    store, wire, sink = wired
    with pytest.raises(ValkeyGoneError):
        await wire.call((("PING",),), 0.001)
    assert not store.on
    before = len(sink.written)
    with pytest.raises(ValkeyGoneError):
        await store.shelf(7)
    assert len(sink.written) == before
    wire.data_received(b"+PONG\r\n")
    assert store.on
