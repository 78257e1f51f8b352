"""The files of a report: `result.json`, which keeps everything, and what is rendered of it for people and for a CI."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from loadtests.reports.document import SCHEMA, Document, from_json, to_json
from loadtests.reports.html import to_html
from loadtests.reports.junit import to_junit
from loadtests.reports.markdown import to_markdown

RESULT = "result.json"
RENDERED: Mapping[str, Callable[[Document], str]] = {
    "report.html": to_html,
    "report.md": to_markdown,
    "junit.xml": to_junit,
}
OWN_KEYS = ("schema", "document")


def result(document: Document, data: Mapping[str, object]) -> str:
    """The text of `result.json`: the document, and beside it what the door measured. ValueError when `data` has a key
    of the file's own.
    """
    if taken := [key for key in OWN_KEYS if key in data]:
        raise ValueError(f"{', '.join(taken)}: a key of the file itself")
    return json.dumps({"schema": SCHEMA, "document": to_json(document), **data}, indent=2, allow_nan=False) + "\n"


def write(document: Document, folder: Path, data: Mapping[str, object]) -> list[Path]:
    """Writes each file whole or not at all, the result first: no fault of a renderer loses what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        replaced(folder / RESULT, result(document, data)),
        *(replaced(folder / name, render(document)) for name, render in RENDERED.items()),
    ]


def replaced(path: Path, text: str) -> Path:
    whole = path.with_name(f".{path.name}.tmp")
    whole.write_text(text, encoding="utf-8")
    return whole.replace(path)


def read(path: Path) -> Document:
    """The document of a `result.json`. ValueError with the path and what is wrong."""
    return parts(path)[0]


def parts(path: Path) -> tuple[Document, dict[str, object]]:
    """The document, and the data that was written beside it. ValueError as `read`."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(whole, dict) or "document" not in whole:
            raise ValueError("not a result: it has no document")  # noqa: TRY301 (all that is wrong gets the path below)
        if whole.get("schema") != SCHEMA:
            raise ValueError(f"not a result of schema {SCHEMA}: its schema is {whole.get('schema')!r}")  # noqa: TRY301
        document = from_json(whole["document"])
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: {reason}") from error
    return document, {key: value for key, value in whole.items() if key not in OWN_KEYS}
