"""Who asks for what: shares, skew, and that nothing is asked for which is not there."""

from collections import Counter
from random import Random

from loadtests.mix import READS, WRITES, Person, alike, asks, zipf

MIX = {**READS, **WRITES}


def people(count: int = 4, deletable: int = 3) -> list[Person]:
    return [
        Person(
            user, f"token{user}", [user * 100 + n for n in range(deletable)], [user * 100 + 50 + n for n in range(3)]
        )
        for user in range(1, count + 1)
    ]


def test_shares_are_those_of_the_load_model() -> None:
    assert (sum(READS.values()), sum(WRITES.values())) == (75, 21)
    kinds = Counter(ask.case.name for ask in asks(people(deletable=1_000), alike(4), MIX, 9_600, Random(1)))
    assert kinds.keys() == MIX.keys()
    for kind, share in MIX.items():
        assert abs(kinds[kind] - 100 * share) < 30 + 20 * share, kind


def test_the_first_of_zipf_asks_most() -> None:
    assert zipf(4) == [1, 1 / 2, 1 / 3, 1 / 4]
    users = Counter(ask.person.id for ask in asks(people(), zipf(4), READS, 2_000, Random(1)))
    assert users[1] > 1.5 * users[2] > 1.5 * users[4]
    assert Counter(ask.person.id for ask in asks(people(), alike(4), READS, 2_000, Random(1)))[4] > 400


def test_the_same_seed_gives_the_same_requests_to_both_servers() -> None:
    first, second = (asks(people(), zipf(4), MIX, 200, Random(7)) for _ in range(2))
    assert [ask.to(80) for ask in first] == [ask.to(80) for ask in second]
    assert first != asks(people(), zipf(4), MIX, 200, Random(8))


def test_no_task_is_deleted_twice_and_none_is_asked_for_that_may_be_gone() -> None:
    own = people(deletable=2)
    made = asks(own, alike(4), {"delete": 1, "get": 1}, 100, Random(1))
    deleted = [ask.task_id for ask in made if ask.case.name == "delete"]
    assert len(deleted) == len(set(deleted)) == 8
    assert all(ask.task_id % 100 >= 50 for ask in made if ask.case.name == "get")
    assert any(ask.case.name == "create" for ask in made), "who has nothing left to delete creates"


def test_a_request_is_whole_and_knows_its_status() -> None:
    by_kind = {ask.case.name: ask.to(8_080) for ask in asks(people(), alike(4), MIX, 500, Random(1))}
    assert {kind: by_kind[kind].status for kind in ("create", "update", "list")} == {
        "create": 201,
        "update": 200,
        "list": 200,
    }
    head, _, body = by_kind["complete"].content.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /api/v1/tasks/")
    assert b"Host: 127.0.0.1:8080" in head
    assert body == b'{"status": "COMPLETED"}'
    assert b" " not in by_kind["search"].content.split(b"\r\n")[0].removeprefix(b"GET ").removesuffix(b" HTTP/1.1")
