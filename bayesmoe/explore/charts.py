"""Charts of a page that answers at once: bars and bands by expert count that change in place."""

from __future__ import annotations

from typing import Any, NamedTuple

import xarray as xr
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from bayesmoe.plots.style import OKABE_ITO
from bayesmoe.reporting.text import band_of, experts, percent
from bayesmoe.units import QUANTILES

_BLUE, _GREY = OKABE_ITO[0], "#6b6b6b"
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


def charts(risk: xr.Dataset) -> dict[str, Chart]:
    """Charts of one problem's risk by name."""
    found = columns(risk)
    names = found["best"]["experts"]
    return {
        "best": _bars(names, found["best"], "Best of all counts, share of draws"),
        "over_training": _bands(
            names, found["over_training"], "Over-training ratio: tokens over loss-optimal tokens", log=True
        ),
        "loss": _bands(names, found["loss"], "Loss of the best size to sign, nats per token"),
        "serving": _bands(names, found["serving"], "Its serving cost, USD per million output tokens", log=True),
    }


def columns(risk: xr.Dataset) -> dict[str, Columns]:
    """Columns of each chart, medians with 5% and 95% quantiles, from one problem's risk; NaN where a count has no size that is sure enough."""
    names = [experts(int(count)) for count in risk["num_experts"].values]
    best = risk["p_best"].values.tolist()
    bands = {
        "over_training": risk["over_training_ratio"],
        "loss": risk["design_loss"].where(risk["design_meets_probability"]),
        "serving": risk["design_serving_usd_per_million_tokens"].where(risk["design_meets_probability"]),
    }
    found: dict[str, Columns] = {
        "best": {"experts": names, "value": best, "low": best, "high": best, "said": [percent(share) for share in best]}
    }
    for name, values in bands.items():
        low, middle, high = (values.sel(quantile=q).values.tolist() for q in QUANTILES)
        said = [band_of(values.sel(num_experts=count)) for count in values["num_experts"].values]
        found[name] = {"experts": names, "value": middle, "low": low, "high": high, "said": said}
    return found


def _plain(names: list[str], title: str, **look: Any) -> Any:
    made = figure(
        x_range=FactorRange(factors=names),
        height=_HEIGHT,
        sizing_mode="stretch_width",
        title=title,
        toolbar_location=None,
        **look,
    )
    made.xgrid.grid_line_color = None
    made.outline_line_color = None
    made.add_tools(HoverTool(tooltips=[("", "@experts: @said")], mode="vline"))
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
