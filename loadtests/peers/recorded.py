"""Answers that the product gave, byte for byte, for peers that only repeat them.

The file (PEER_ANSWERS) is JSON: by path, headers and body. The path "" stands for every other one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Recorded:
    headers: list[tuple[str, str]]
    body: bytes


def read(environment: Mapping[str, str]) -> dict[str, Recorded]:
    answers = json.loads(Path(environment["PEER_ANSWERS"]).read_text())
    return {
        path: Recorded([(name, value) for name, value in answer["headers"]], answer["body"].encode())
        for path, answer in answers.items()
    }


def serve(app: ASGIApp) -> None:
    """On the product's server software, one process. Settings: PEER_HOST, PEER_PORT."""
    uvicorn.run(
        app,
        host=os.environ.get("PEER_HOST", "127.0.0.1"),
        port=int(os.environ["PEER_PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        date_header=True,
        log_level="warning",
    )
