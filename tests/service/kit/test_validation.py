"""Findings in words for a person who fills in a form."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, field_validator

from service.kit import validation
from service.kit.problems import ValidationFailed


class Inner(BaseModel):
    email: StrictBool


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=3, max_length=5)] = "abc"
    size: Annotated[StrictInt, Field(ge=1, le=100)] = 1
    status: Literal["A", "B", "C"] = "A"
    nested: Inner | None = None
    items: list[int] = []
    odd: int = 1
    when: float = 0.0

    @field_validator("odd")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("An even number {will} not do")
        return value


def failed(values: Any, where: str = "body") -> ValidationFailed:
    """What a route would answer: FastAPI puts the place in front of each location."""
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(values)
    return validation.failed([{**finding, "loc": (where, *finding["loc"])} for finding in caught.value.errors()])


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"title": "ab"}, "title", "Title must be at least 3 characters"),
        ({"title": "abcdef"}, "title", "Title must be at most 5 characters"),
        ({"title": 3}, "title", "Title must be a string"),
        ({"title": "a\ud800b"}, "title", "Title must be valid Unicode"),
        ({"size": 0}, "size", "Size must be at least 1"),
        ({"size": 101}, "size", "Size must be at most 100"),
        ({"size": "5"}, "size", "Size must be a whole number"),
        ({"odd": 1.5}, "odd", "Odd must be a whole number"),
        ({"odd": "9" * 5000}, "odd", "Odd is out of range"),
        ({"status": "D"}, "status", "Status must be one of A, B, C"),
        ({"nested": {"email": 1}}, "nested.email", "Nested.email must be true or false"),
        ({"nested": {}}, "nested.email", "Nested.email is required"),
        ({"nested": 5}, "nested", "Nested must be a JSON object"),
        ({"items": [1, "x"]}, "items.1", "Items.1 must be a whole number"),
        ({"odd": 2}, "odd", "An even number {will} not do"),
        ({"colour": "red"}, "colour", "Colour is not a known field"),
        ({"{label}": 1}, "{label}", "{label} is not a known field"),
        ({"items": 5}, "items", "Items is not valid"),
        ([], "body", "Body must be a JSON object"),
    ],
)
def test_a_finding_is_one_sentence_with_its_field(values: Any, field: str, message: str) -> None:
    problem = failed(values)
    assert [(error.field, error.path, error.msg) for error in problem.errors] == [(field, field, message)]
    assert problem.detail == message


def test_the_first_finding_is_the_message_and_all_are_listed() -> None:
    problem = failed({"title": "ab", "size": 0, "status": "D"})
    assert [error.field for error in problem.errors] == ["title", "size", "status"]
    assert problem.detail == problem.errors[0].msg


def test_a_name_that_a_client_made_up_is_cut() -> None:
    [error] = failed({"x" * 10_000: 1}).errors
    assert len(error.field) == 200
    assert len(error.msg) < 150


def test_a_syntax_error_has_no_field_of_its_own() -> None:
    problem = validation.failed([{"type": "json_invalid", "loc": ("body", 17), "msg": "", "ctx": {"error": "x"}}])
    assert (problem.errors[0].field, problem.detail) == ("body", "The body is not valid JSON")


def test_what_is_wrong_as_a_whole_is_named_by_its_place() -> None:
    problem = validation.failed(
        [{"type": "value_error", "loc": ("query",), "msg": "", "ctx": {"error": ValueError("Not both")}}]
    )
    assert (problem.errors[0].field, problem.detail) == ("query", "Not both")


def test_without_findings_it_is_still_a_refusal() -> None:
    problem = validation.failed([])
    assert (problem.status, problem.detail) == (400, "The request is not valid")
