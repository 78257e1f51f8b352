"""The roadmap for people (an aligned table, the same in Markdown) and for machines (plain dicts and lists)."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from textwrap import wrap
from typing import Any

from roadmap.claims import Claims
from roadmap.phases import Features, Roadmap, Targets, Topology

_TB_IN_GB = 1000
_WIDTH = 118
_PROPER = {"api": "API", "postgres": "PostgreSQL", "valkey": "Valkey", "cdn": "CDN"}


def as_data(roadmap: Roadmap) -> dict[str, Any]:
    """All of it, ready for `json.dumps`, with the derived rates; a figure the strategy does not give is null."""
    phases = [
        asdict(phase)
        | {"peak_requests_per_s": phase.peak_requests_per_s, "mean_requests_per_s": phase.mean_requests_per_s}
        for phase in roadmap.phases
    ]
    for phase in phases:
        del phase["facts"]  # once at the top is enough
    return asdict(roadmap) | {"phases": phases}


def as_text(roadmap: Roadmap) -> str:
    """The table, the notes it needs, and when to scale."""
    table = _rows(roadmap)
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    scale = [f"  {trigger.wording} -> {trigger.to}: {trigger.brings}" for trigger in roadmap.when_to_scale]
    return "\n".join([*lines, "", *_notes(roadmap), "", "When to scale:", *scale])


def as_markdown(roadmap: Roadmap) -> str:
    """The table alone, for a README."""
    head, *body = (f"| {' | '.join(row)} |" for row in _rows(roadmap))
    return "\n".join([head, "|---" * (len(roadmap.phases) + 1) + "|", *body])


def claims_as_text(claims: Claims) -> str:
    """Each claim with its bounds and whose they are, and how it is read."""
    lines = []
    for claim in claims.claims:
        lines += [
            f"{claim.id} (phase {claim.phase}): {claim.statement}",
            *wrap(claim.reading, _WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
        lines += [f"  {e.metric}: {e.wording} ({e.source})" for e in claim.expectations]
        lines += [f"  about: {'; '.join(claim.subjects)}"] if claim.subjects else []
    return "\n".join(lines)


def _rows(roadmap: Roadmap) -> list[Sequence[str]]:
    """Header first. Whatever the topology and the features hold is shown without a line of code for it."""
    phases = roadmap.phases
    return [
        ("phase", *roadmap.names),
        ("concurrent users", *(f"{phase.targets.users:,}{_plus(phase.targets)}" for phase in phases)),
        ("requests/s at the peak", *(f"{phase.peak_requests_per_s:,.10g}{_plus(phase.targets)}" for phase in phases)),
        (f"response time, {roadmap.facts.percentile}", *(f"{phase.targets.p95_ms} ms" for phase in phases)),
        ("availability", *(f"{phase.targets.availability * 100:.6g} %" for phase in phases)),
        ("database, up to", *(_size(phase.targets) for phase in phases)),
        ("cost a month", *(_cost(phase.targets) for phase in phases)),
        *(_row(field.name, [getattr(phase.topology, field.name) for phase in phases]) for field in fields(Topology)),
        *(_row(field.name, [getattr(phase.features, field.name) for phase in phases]) for field in fields(Features)),
    ]


def _row(name: str, values: list[bool | int | str | None]) -> Sequence[str]:
    return " ".join(_PROPER.get(word, word) for word in name.split("_")), *(_cell(value) for value in values)


def _cell(value: bool | int | str | None) -> str:  # noqa: FBT001 - one cell of whatever type the topology holds
    if value is None:
        return "open"
    if isinstance(value, bool):
        return "yes" if value else "-"
    return str(value or "-")


def _plus(targets: Targets) -> str:
    return "+" if targets.open_ended else ""


def _size(targets: Targets) -> str:
    gigabytes = targets.database_gb
    size = f"{gigabytes} GB" if gigabytes < _TB_IN_GB else f"{gigabytes / _TB_IN_GB:g} TB"
    return size + _plus(targets)


def _cost(targets: Targets) -> str:
    if not targets.budgets:
        return "-"
    first, *others = targets.budgets
    return ", ".join([f"${first.usd_per_month:,}", *(f"${b.usd_per_month:,} ({b.source})" for b in others)])


def _notes(roadmap: Roadmap) -> list[str]:
    facts = roadmap.facts
    think, mean = f"{facts.think_time_s:g} s", f"{facts.mean_load_share:.0%}"
    inherited = [
        f"Phase {phase.name} has no targets of its own in the strategy: phase {phase.targets.inherits}'s stand."
        for phase in roadmap.phases
        if phase.targets.inherits
    ]
    return [
        "Counts hold for one region, those of PostgreSQL for one shard; open: the strategy gives no number.",
        f"The strategy names no percentile; {facts.percentile} over the mix is taken.",
        f"Assumed: a user thinks {think} between two requests; over a month the mean load is {mean} of the peak.",
        *inherited,
    ]
