"""The door of the roadmap: prints it, or says why its file is refused."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from roadmap.claims import CLAIMS_FILE, load_claims
from roadmap.phases import PHASES_FILE, load
from roadmap.reader import RoadmapError
from roadmap.show import as_data, as_markdown, as_text, claims_as_text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m roadmap",
        description="Print the phases, their targets and what stands in them.",
        epilog="Exit codes: 0 printed, 2 wrong usage or a file that is refused (the key and the reason on stderr).",
    )
    parser.add_argument("--file", type=Path, default=PHASES_FILE, help="another roadmap than %(default)s")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything, for machines")
    form.add_argument("--markdown", action="store_true", help="the table as the README shows it")
    form.add_argument("--claims", action="store_true", help="what the strategy claims, and when that is true")
    options = parser.parse_args(arguments)
    if options.claims:
        return show_claims(parser.prog)
    try:
        roadmap = load(options.file)
    except RoadmapError as error:
        print(f"{parser.prog}: {options.file}: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(as_data(roadmap), indent=2))
    else:
        print(as_markdown(roadmap) if options.markdown else as_text(roadmap))
    return 0


def show_claims(prog: str) -> int:
    try:
        print(claims_as_text(load_claims()))
    except RoadmapError as error:
        print(f"{prog}: {CLAIMS_FILE}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
