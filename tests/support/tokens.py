"""What a token says, read without checking it, as a curious client would."""

import base64
import json
from typing import Any


def header_of(token: str) -> dict[str, Any]:
    return _part(token, 0)


def claims_of(token: str) -> dict[str, Any]:
    return _part(token, 1)


def _part(token: str, number: int) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))
    return part
