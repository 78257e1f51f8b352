"""A chart as SVG to stand inside a page: transparent, its text and axes in the colour of the text around it.

The same chart and number give the same bytes. matplotlib takes a second to import, so import this where it is needed.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from matplotlib.typing import RcKeyType

from loadtests.reports.document import Chart, Series, Stage

WIDTH_INCHES, HEIGHT_INCHES = 9.0, 3.75
LEGEND_LINE_INCHES = 0.18
# Drawn in a colour that nothing else has, and then replaced by that of the page.
INK = "#010203"
# Each has at least three times the luminance contrast that WCAG asks of graphics, on white and on the dark page alike.
COLOURS = ("#2b7de0", "#cf6a1c", "#1f9572", "#b35fc9", "#d1495b", "#7d8597")
MARKERS = "os^DvP"
# More points than this stand so close that markers hide the line.
MARKED = 40
MOST_TICKS = 8
DECADES = 3
LINE_CHARACTERS = 115
STYLE: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    # Titles and labels are texts of others: a dollar sign begins no formula.
    "text.parse_math": False,
    "axes.unicode_minus": False,
}


def to_svg(chart: Chart, number: int = 0) -> str:
    """`number` tells charts of one page apart: no id occurs in two of them."""
    with rc_context({**STYLE, "svg.hashsalt": f"chart {number}"}), warnings.catch_warnings():
        # The font that measures the text here lacks glyphs that the reader's has.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        columns = columns_of(chart)
        lines = -(-len(chart.series) // columns)
        height = HEIGHT_INCHES + lines * LEGEND_LINE_INCHES
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        figure.patch.set_visible(False)
        draw(figure, chart)
        if chart.series:
            figure.legend(loc="outside lower left", ncols=columns, frameon=False, handlelength=2.4)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return inline(out.getvalue(), chart.title)


def draw(figure: Figure, chart: Chart) -> None:
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=INK, alpha=0.14, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    for index, series in enumerate(chart.series):
        line(axes, series, index)
    for mark in chart.marks:
        axes.axhline(mark.at, color=INK, linewidth=1, linestyle=(0, (5, 3)), alpha=0.75)
        axes.annotate(
            mark.label, (1, mark.at), (-2, 3), axes.get_yaxis_transform(), textcoords="offset points", ha="right"
        )
    xs = sorted({x for series in chart.series for x in series.x} | {x for s in chart.stages for x in (s.start, s.end)})
    scale(axes, chart, xs)
    bands(axes, chart.stages, xs)


def columns_of(chart: Chart) -> int:
    """Of the legend: as many as its longest name leaves room for."""
    widest = max((len(series.name) for series in chart.series), default=0) + 6
    return max(1, min(len(chart.series), LINE_CHARACTERS // widest))


def line(axes: Axes, series: Series, index: int) -> None:
    known = [value is not None for value in series.y]
    alone = [
        here and not any(known[max(0, place - 1) : place] + known[place + 1 : place + 2])
        for place, here in enumerate(known)
    ]
    axes.plot(
        series.x,
        [float("nan") if value is None else value for value in series.y],
        label=series.name,
        color=COLOURS[index % len(COLOURS)],
        linewidth=1.6,
        linestyle=("-", "--", ":")[index // len(COLOURS) % 3],
        marker=MARKERS[index % len(MARKERS)] if len(known) <= MARKED or any(alone) else "",
        markersize=4,
        # A point between two gaps has no line: it always has its marker.
        markevery=alone if len(known) > MARKED else None,
    )


def scale(axes: Axes, chart: Chart, xs: Sequence[float]) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
    ys = [y for series in chart.series for y in series.y if y is not None] + [mark.at for mark in chart.marks]
    if chart.log_y:
        logarithmic(axes.yaxis, axes.set_yscale, [y for y in ys if y > 0])
    elif min(ys, default=0) >= 0:
        axes.set_ylim(bottom=0)
    if chart.log_x:
        logarithmic(axes.xaxis, axes.set_xscale, [x for x in xs if x > 0])
        if len(xs) <= MOST_TICKS:
            axes.xaxis.set_major_locator(FixedLocator(xs))
    elif len(xs) > 1:
        axes.set_xlim(xs[0], xs[-1])


def logarithmic(axis: Axis, set_scale: Callable[..., None], values: Sequence[float]) -> None:
    """With ticks at 1, 2, 5, 10 where the values span few decades, and none between."""
    if not values:
        return
    formatter = axis.get_major_formatter()
    set_scale("log", nonpositive="mask")
    few = max(values) / min(values) < 10**DECADES
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter)


def bands(axes: Axes, stages: Sequence[Stage], xs: Sequence[float]) -> None:
    """Every second stage shaded, each with its label above: in the lowest lane in which it has room."""
    width = (xs[-1] - xs[0]) / LINE_CHARACTERS if xs else 0
    ends: list[float] = []
    for index, stage in enumerate(stages):
        axes.axvspan(stage.start, stage.end, color=INK, alpha=0.10 if index % 2 == 0 else 0.04, linewidth=0)
        lane = next((lane for lane, end in enumerate(ends) if end <= stage.start), len(ends))
        ends[lane : lane + 1] = [max(stage.end, stage.start + width * (len(stage.label) + 2))]
        axes.annotate(
            stage.label,
            (stage.start, 1),
            (2, 3 + 11 * lane),
            axes.get_xaxis_transform(),
            textcoords="offset points",
            fontsize=8,
        )


def inline(svg: str, title: str) -> str:
    """Without what only a file needs (prolog, metadata, namespaces, a style for everything), without ids that nothing
    refers to, and in the font of the page.
    """
    svg = svg[svg.index("<svg") :]
    for needless in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->", r"font-family: [^;]*;"):
        svg = re.sub(rf"\s*{needless}", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("xlink:href", "href").replace(INK, "currentColor")
    box = re.search(r'viewBox="([^"]*)"', svg)
    head = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{escape(title)}" stroke-linejoin="round"'
    return re.sub(r"<svg[^>]*", lambda _: head, svg, count=1).strip()
