"""Charts of a page that answers at once: bars and bands by expert count that change in place."""

from __future__ import annotations

from typing import Any, NamedTuple

from bokeh.models import ColumnDataSource, FactorRange, HoverTool, NumeralTickFormatter, Title
from bokeh.plotting import figure

from bayesmoe.decisions.decision import Decision
from bayesmoe.decisions.outcome import UNKNOWN
from bayesmoe.plots.style import OKABE_ITO
from bayesmoe.units import band, percent

_BLUE, _GREY, _BOTH = OKABE_ITO[0], "#6b6b6b", "#7a7a7a"
_HEIGHT = 250

type Columns = dict[str, Any]
"""Columns of one chart: lists of one length."""


class Chart(NamedTuple):
    """A figure and the columns that it draws.

    Attributes
    ----------
    figure : bokeh figure
        As shown.
    source : ColumnDataSource
        Columns ``experts``, ``value``, ``low``, ``high`` and ``said``.
    """

    figure: Any
    source: ColumnDataSource


def charts(decision: Decision) -> dict[str, Chart]:
    """Charts of one decision by name."""
    found = columns(decision)
    names = found["best"]["experts"]
    return {
        "best": _bars(names, found["best"], "Best of all counts, share of draws"),
        "over_training": _bands(
            names, found["over_training"], "Over-training ratio: tokens over loss-optimal tokens", log=True
        ),
        "loss": _bands(names, found["loss"], "Loss of each count's best design, nats per token"),
        "serving": _bands(names, found["serving"], "Its serving cost, USD per million output tokens", log=True),
    }


def columns(decision: Decision) -> dict[str, Columns]:
    """Columns of each chart, medians with 5% and 95% quantiles.

    Loss and serving cost are NaN for a count no design of which meets the goal with the required probability; where that
    is every count, they are those of the closest designs, as the answer beside them is.
    """
    names = ["dense" if one.num_experts == 1 else str(one.num_experts) for one in decision.optima]
    best = [one.p_best for one in decision.optima]
    shown = [one.meets_probability for one in decision.designs]
    shown = shown if any(shown) else [True] * len(shown)
    designs = list(zip(decision.designs, shown, strict=True))
    bands = {
        "over_training": [one.bands["over_training_ratio"] for one in decision.optima],
        "loss": [one.loss if drawn else UNKNOWN for one, drawn in designs],
        "serving": [one.serving_usd_per_million_tokens if drawn else UNKNOWN for one, drawn in designs],
    }
    found: dict[str, Columns] = {
        "best": {"experts": names, "value": best, "low": best, "high": best, "said": [percent(share) for share in best]}
    }
    for name, values in bands.items():
        low, median, high = (list(column) for column in zip(*values, strict=True))
        said = [band(*value) for value in values]
        found[name] = {"experts": names, "value": median, "low": low, "high": high, "said": said}
    return found


def _plain(names: list[str], title: str, **look: Any) -> Any:
    made = figure(
        x_range=FactorRange(factors=names),
        height=_HEIGHT,
        sizing_mode="stretch_width",
        title=Title(text=title, text_color=_BOTH),
        toolbar_location=None,
        **look,
    )
    made.xgrid.grid_line_color = None
    made.outline_line_color = None
    # Readable on paper of either color.
    made.background_fill_color = made.border_fill_color = None
    for axis in made.axis:
        axis.major_label_text_color = axis.axis_line_color = axis.major_tick_line_color = _BOTH
    made.grid.grid_line_alpha = 0.4
    made.add_tools(HoverTool(tooltips=[("", "@experts experts: @said")], mode="vline"))
    return made


def _bars(names: list[str], found: Columns, title: str) -> Chart:
    made, source = _plain(names, title, y_range=(0, 1)), ColumnDataSource(found)
    made.vbar(x="experts", top="value", width=0.7, color=_BLUE, source=source)
    made.yaxis.formatter = NumeralTickFormatter(format="0%")
    return Chart(made, source)


def _bands(names: list[str], found: Columns, title: str, *, log: bool = False) -> Chart:
    made, source = _plain(names, title, y_axis_type="log" if log else "linear"), ColumnDataSource(found)
    if log:
        made.yaxis.formatter = NumeralTickFormatter(format="0.[0000]")
    made.segment(x0="experts", x1="experts", y0="low", y1="high", line_width=4, color=_GREY, alpha=0.6, source=source)
    made.scatter(x="experts", y="value", size=9, color=_BLUE, line_color="white", source=source)
    return Chart(made, source)
