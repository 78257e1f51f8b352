"""A model that fits is validated; one that is off where it was not fitted is not, and says so."""

from dataclasses import replace

import pytest

from loadtests.capacity.measured import Measured, MeasuredError
from loadtests.capacity.simulate import Fleet, Routing
from loadtests.capacity.size import HELD_OUT
from loadtests.capacity.validate import Validation, check, validate
from tests.support.capacity import measured, off_at_the_held_out_step, off_with_many_servers

JOBS = 25_000


@pytest.fixture(scope="module")
def given() -> Measured:
    return measured()


@pytest.fixture(scope="module")
def validation(given: Measured) -> Validation:
    return validate(given, jobs=JOBS)


def test_a_queue_that_is_as_the_model_has_it_is_validated(validation: Validation) -> None:
    assert validation.holds, validation.held_out
    held = [(each.emulated, each.load, each.fleet.servers) for each in validation.held_out]
    assert held == [(False, 0.8, 1), (True, 0.7, 8), (True, 0.7, 16), (True, 0.7, 16)]


def again(given: Measured, validation: Validation) -> Validation:
    return check(given, validation.product, validation.emulated)


def test_a_model_that_is_off_at_the_held_out_step_is_not_validated(given: Measured, validation: Validation) -> None:
    off = again(off_at_the_held_out_step(given, 2.0), validation)
    assert not off.holds
    (wrong,) = [each for each in off.held_out if not each.holds]
    assert (wrong.load, wrong.emulated) == (0.8, False)
    assert wrong.off_p95 == pytest.approx(-0.5, abs=0.13)


def test_nor_is_one_that_is_off_with_many_servers(given: Measured, validation: Validation) -> None:
    off = again(off_with_many_servers(given, 1.3), validation)
    assert not off.holds
    assert [each.fleet for each in off.held_out if not each.holds] == [
        Fleet(8, 1, Routing.LEAST_BUSY),
        Fleet(16, 1, Routing.LEAST_BUSY),
    ]


def test_nor_is_one_that_sees_a_queue_without_end(given: Measured, validation: Validation) -> None:
    steps = [replace(step, rate_per_s=3_000.0) if step.load == HELD_OUT else step for step in given.product]
    off = again(replace(given, product=tuple(steps)), validation)
    assert [each.off_p50 for each in off.held_out if not each.holds] == [None]


def test_the_held_out_step_is_not_fitted(given: Measured) -> None:
    fits = [validate(each, jobs=2_000).product for each in (given, off_at_the_held_out_step(given, 2.0))]
    assert fits[0] == fits[1]


def test_nothing_held_out_is_nothing_checked(validation: Validation) -> None:
    for emulated in (False, True):
        kept = [each for each in validation.comparisons if each.emulated == emulated]
        assert not replace(validation, comparisons=kept).holds


def test_a_step_that_lost_requests_is_a_fault_unless_it_was_set_aside(given: Measured) -> None:
    assert given.problems == []
    lossy = replace(given.product[0], unanswered=2)
    others = [replace(each, round=each.round + 9) for each in given.product]
    assert len(replace(given, product=(lossy, *given.product[1:])).problems) == 1
    beside = (replace(lossy, neighbours=0.3), *given.product[1:], *others)
    assert replace(given, product=beside).problems == []
    busy = replace(given.emulated[0], generator_busy=0.7)
    (told,) = replace(given, emulated=(busy, *given.emulated[1:])).problems
    assert "the generator used 70% of its core" in told


def test_measurements_survive_their_file(given: Measured) -> None:
    assert Measured.from_json(given.to_json()) == given


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "must be a table"),
        ('{"schema": 0}', "not a measurement of schema 1"),
        ('{"schema": 1, "label": "measured", "setup": {}}', "missing"),
    ],
)
def test_a_file_that_is_no_measurement_is_refused(text: str, reason: str) -> None:
    with pytest.raises(MeasuredError, match=reason):
        Measured.from_json(text)
