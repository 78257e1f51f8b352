"""pydantic's findings in words that a person who fills in a form can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.kit.problems import FieldError, ValidationFailed

_MESSAGES: Mapping[str, str] = {
    "missing": "{label} is required",
    "extra_forbidden": "{label} is not a known field",
    "string_type": "{label} must be a string",
    "string_too_short": "{label} must be at least {min_length} characters",
    "string_too_long": "{label} must be at most {max_length} characters",
    "string_pattern_mismatch": "{label} must not contain the character NUL",
    "string_unicode": "{label} must be valid Unicode",
    "literal_error": "{label} must be one of {expected}",
    "bool_type": "{label} must be true or false",
    "int_type": "{label} must be a whole number",
    "int_parsing": "{label} must be a whole number",
    "int_parsing_size": "{label} is out of range",
    "int_from_float": "{label} must be a whole number",
    "greater_than_equal": "{label} must be at least {ge}",
    "less_than_equal": "{label} must be at most {le}",
    "model_attributes_type": "{label} must be a JSON object",
    "model_type": "{label} must be a JSON object",
    "dict_type": "{label} must be a JSON object",
    "json_invalid": "The body is not valid JSON",
    "value_error": "{error}",
}


def failed(findings: Sequence[Any]) -> ValidationFailed:
    """One problem for all findings; its message is the first of them, as the old clients show it."""
    errors = [_field_error(finding) for finding in findings]
    return ValidationFailed(errors[0].msg if errors else None, errors=errors)


def _field_error(finding: Mapping[str, Any]) -> FieldError:
    kind = finding["type"]
    # The first member says where (body, query, path, header); a syntax error's second is an offset, not a name.
    where = [str(part) for part in finding["loc"][1:]] if kind != "json_invalid" else []
    path = ".".join(where) or str(finding["loc"][0])
    label = path[:1].upper() + path[1:]
    template = _MESSAGES.get(kind)
    context = {name: value for name, value in finding.get("ctx", {}).items() if name != "label"}
    message = template.format(label=label[:100], **context) if template else f"{label[:100]} is not valid"
    return FieldError(
        field=path[:200],
        path=path[:200],
        msg=message.replace("'", "").replace(" or ", ", ") if kind == "literal_error" else message,
    )
