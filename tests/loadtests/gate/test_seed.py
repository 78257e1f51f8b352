"""The data of a phase: as many rows as asked for, the same for a seed, owned unequally, and nobody else's removed."""

import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from joserfc import jwt

from loadtests.gate import seed as seeds
from loadtests.gate.seed import SeedError, Size, is_seeded, people, seed, signing_keys, write_people
from loadtests.world import make_keys
from service.settings import Database

SIZE = Size(rows=5_000, users=200, seed=7)


@pytest.fixture
def url(database: Database) -> str:
    return database.url.get_secret_value()


def quiet(_there: int, _wanted: int) -> None:
    pass


def owners(url: str) -> Counter[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT email FROM tasks JOIN users ON users.id = user_id").fetchall()
    return Counter(email for (email,) in rows)


def test_rows_are_owned_by_zipfs_law_and_the_same_for_a_seed(
    make_database: Callable[..., Database], template: str, tmp_path: Path
) -> None:
    first, second, third = (make_database(template).url.get_secret_value() for _ in range(3))
    for url, size in ((first, SIZE), (second, SIZE), (third, Size(5_000, 200, seed=8))):
        seed(url, tmp_path, size, quiet)
    counts = owners(first)
    assert counts.total() == 5_000
    assert counts == owners(second) != owners(third)
    ranked = [count for _, count in counts.most_common()]
    # ln(2)/ln(200), ln(3/2)/ln(200), ...: the first has as much as the next two.
    assert 600 < ranked[0] < 710
    assert 1.4 < ranked[0] / ranked[1] < 2.1
    assert len(ranked) > 150


def test_progress_is_told_and_ends_with_the_whole(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "CHUNK", 2_000)
    told: list[tuple[int, int]] = []
    seed(url, tmp_path, SIZE, lambda there, wanted: told.append((there, wanted)))
    assert told == [(2_000, 5_000), (4_000, 5_000), (5_000, 5_000)]


def test_it_is_known_whether_the_seed_is_there(url: str, tmp_path: Path) -> None:
    assert not is_seeded(url, tmp_path, SIZE)
    seed(url, tmp_path, SIZE, quiet)
    assert is_seeded(url, tmp_path, SIZE)
    assert not is_seeded(url, tmp_path, Size(5_000, 200, seed=8))
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM tasks WHERE id <= (SELECT min(id) + 600 FROM tasks)")
    assert not is_seeded(url, tmp_path, SIZE), "runs have changed too much of it"
    seed(url, tmp_path, SIZE, quiet)
    assert owners(url).total() == 5_000, "what was there is replaced"


def test_tasks_of_others_are_not_removed(url: str, tmp_path: Path) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO users (email, name, password_hash) VALUES ('ada@example.com', 'Ada', 'none')")
        connection.execute("INSERT INTO tasks (title, user_id) SELECT 'Keep me', id FROM users")
    with pytest.raises(SeedError, match="1 tasks of other users"):
        seed(url, tmp_path, SIZE, quiet)
    assert owners(url) == {"ada@example.com": 1}


def test_people_have_tokens_and_tasks_of_their_own(url: str, tmp_path: Path) -> None:
    seed(url, tmp_path, SIZE, quiet)
    keys = make_keys(tmp_path / "keys")
    assert signing_keys(tmp_path / "keys").kid == keys.kid
    found = people(url, keys, SIZE)
    assert found == {**people(url, keys, SIZE), **found}
    with psycopg.connect(url) as connection:
        owner_of: dict[int, int] = dict(connection.execute("SELECT id, user_id FROM tasks").fetchall())
        query = "SELECT user_id, max(id) FROM tasks GROUP BY user_id"
        newest: dict[int, int] = dict(connection.execute(query).fetchall())
    for person in found["people"]:
        ids = [*person["tasks"], *person["deletable"]]
        assert len(ids) == len(set(ids))
        assert {owner_of[task] for task in ids} == {person["id"]}
        assert person["tasks"][0] == newest[person["id"]]
        assert jwt.decode(person["token"], keys.key).claims["sub"] == str(person["id"])
    (administrator,) = found["administrators"]
    assert jwt.decode(administrator["token"], keys.key).claims["role"] == "ADMIN"
    assert [person["id"] for person in found["people"]] != sorted(person["id"] for person in found["people"])


def test_tokens_are_readable_by_their_owner_only(url: str, tmp_path: Path) -> None:
    seed(url, tmp_path, SIZE, quiet)
    write_people(tmp_path / "people.json", url, make_keys(tmp_path / "keys"), SIZE)
    assert stat.S_IMODE((tmp_path / "people.json").stat().st_mode) == 0o600


def test_without_a_key_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="no signing key"):
        signing_keys(tmp_path)
