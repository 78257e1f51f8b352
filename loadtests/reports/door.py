"""`python -m loadtests report RESULT.json`: shows the kept result of a run again.

Exit codes: 0 shown, whatever the verdict; 2 usage, or a file that is no result.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadtests.doors import EXIT_USAGE, Say
from loadtests.reports.document import Document
from loadtests.reports.html import to_html
from loadtests.reports.junit import to_junit
from loadtests.reports.markdown import to_markdown
from loadtests.reports.text import to_text
from loadtests.reports.write import parts, result, write

RENDERERS: Mapping[str, Callable[[Document], str]] = {
    "text": to_text,
    "html": to_html,
    "markdown": to_markdown,
    "junit": to_junit,
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    door = commands.add_parser(
        "report",
        help="show the kept result of a run again",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    door.set_defaults(handle=handle, parser=door)
    door.add_argument("result", type=Path, metavar="RESULT.json", help="as a run wrote it with --out")
    how = door.add_mutually_exclusive_group()
    how.add_argument("--out", type=Path, metavar="DIR", help="write the files of the report instead of printing")
    how.add_argument("--format", choices=[*RENDERERS, "json"], default="text", help="what to print (default: text)")


def handle(_door: argparse.ArgumentParser, given: Mapping[str, Any], _typed: str, _say: Say) -> int:
    return run(given["result"], given["out"], given["format"])


def run(path: Path, out: Path | None, form: str) -> int:
    try:
        document, data = parts(path)
        if out is None:
            text = result(document, data) if form == "json" else RENDERERS[form](document)
        else:
            text = "\n".join(str(written) for written in write(document, out, data))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    sys.stdout.write(f"{text.rstrip()}\n")
    return 0
