"""Figures of curves, budgets, leverage and forecasts show the numbers they were given."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from bayesmoe import plots
from bayesmoe.plots.style import budget_colors, decades, expert_axis, new_figure
from bayesmoe.units import experts, percent

COUNTS = [1, 4, 8, 16, 32]
QUANTILES = [0.05, 0.5, 0.95]
COST = "serving_usd_per_million_tokens"


@pytest.fixture(autouse=True)
def closed():
    """Leave no figure open."""
    before = plt.get_fignums()
    yield
    for number in set(plt.get_fignums()) - set(before):
        plt.close(number)


def banded(*dims: str, low: float = 1.0, high: float = 3.0, **coords) -> xr.DataArray:
    """Made-up medians and bands that differ everywhere."""
    sizes = [len(coords[dim]) for dim in dims]
    middle = np.random.default_rng(len(dims)).uniform(low, high, size=sizes)
    return xr.DataArray(
        np.stack([0.8 * middle, middle, 1.3 * middle]),
        dims=("quantile", *dims),
        coords={"quantile": QUANTILES, **{dim: coords[dim] for dim in dims}},
    )


def ribbons(axes):
    """Corners of each filled band."""
    return [polygon.get_paths()[0].vertices for polygon in axes.collections if hasattr(polygon, "get_paths")]


def assert_ribbon(corners, x, low, high) -> None:
    """The band's corners are the ends at every x, and no other."""
    ends = {(float(a), float(b)) for side in (low, high) for a, b in zip(np.round(x, 9), np.round(side, 9), strict=True)}
    assert {(float(a), float(b)) for a, b in np.round(corners, 9)} == ends


def labels(figure):
    """Words of the figure's legend."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.fixture
def of_costs():
    costs = np.geomspace(0.01, 1.0, 40)
    by = {"num_experts": COUNTS, "cost": costs}
    p_best = np.random.default_rng(0).dirichlet(np.ones(5), size=40).T * 0.9
    return xr.Dataset(
        {
            "loss": banded("num_experts", "cost", **by),
            "best_loss": banded("cost", cost=costs),
            "p_best": (("num_experts", "cost"), p_best),
        }
    )


@pytest.fixture
def of_budgets():
    budgets, problems = [1e20, 1e21, 1e22], ["cheapest_serving", "lowest_loss"]
    by = {"train_flop": budgets, "problem": problems, "num_experts": COUNTS}
    names = ("loss", COST, "size_ratio", "over_training_ratio")
    found = xr.Dataset({name: (1.0 + i) * banded(*by, **by) for i, name in enumerate(names)})
    sure = np.ones((3, 2, 5), dtype=bool)
    sure[0, 0, 1] = False
    return found.assign(sure=(tuple(by), sure))


def test_loss_by_tokens_has_a_panel_a_size_and_a_ribbon_a_token_count() -> None:
    by = {"n_dense": [1e8, 1e9], "tokens": [1e9, 1e10, 1e11], "num_experts": COUNTS}
    observed = np.full((2, 3, 5), np.nan)
    observed[0, 1] = [3.0, 2.9, np.nan, 2.8, 2.7]
    found = xr.Dataset({"loss": banded(*by, **by), "observed": (tuple(by), observed)})
    figure = plots.loss_by_tokens(found)
    assert [axes.get_title() for axes in figure.axes] == ["100M backbone parameters", "1.0B backbone parameters"]
    for axes, size in zip(figure.axes, by["n_dense"], strict=True):
        middles = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata())]
        for tokens, line, corners in zip(by["tokens"], middles, ribbons(axes), strict=True):
            low, middle, high = found["loss"].sel(n_dense=size, tokens=tokens).values
            np.testing.assert_array_equal(line.get_ydata(), middle)
            assert_ribbon(corners, range(5), low, high)
    (rings,) = [line for line in figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    np.testing.assert_array_equal(rings.get_ydata(), observed[0, 1])
    assert labels(figure) == ["1.0B tokens", "10B tokens", "100B tokens", "runs"]


def test_the_frontier_has_a_panel_a_count_with_the_best_of_all(of_costs) -> None:
    figure = plots.frontier(of_costs)
    cost = of_costs["cost"].values
    shown = [axes for axes in figure.axes if axes.get_visible()]
    for count, axes in zip(COUNTS, shown, strict=True):
        low, middle, high = of_costs["loss"].sel(num_experts=count).transpose("quantile", "cost").values
        own, best = axes.lines
        np.testing.assert_array_equal(own.get_ydata(), middle)
        assert_ribbon(ribbons(axes)[0], cost, low, high)
        np.testing.assert_array_equal(best.get_ydata(), of_costs["best_loss"].sel(quantile=0.5))
        share = of_costs["p_best"].sel(num_experts=count)
        assert (
            axes.get_title()
            == f"{experts(count)}: best in {percent(float(share.max()))} at {cost[int(np.argmax(share.values))]:.2g}"
        )


@pytest.mark.parametrize(("problem", "objective"), [("cheapest_serving", COST), ("lowest_loss", "loss")])
def test_minima_by_budget_show_objective_and_size_ratio(of_budgets, problem, objective) -> None:
    figure = plots.minima_by_budget(of_budgets, problem)
    for axes, name in zip(figure.axes, (objective, "size_ratio"), strict=True):
        assert_points(axes, of_budgets[name].sel(problem=problem))
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    known = of_budgets[objective].sel(problem=problem, train_flop=1e20, num_experts=4, quantile=0.5)
    assert [line.get_ydata().tolist() for line in hollow] == ([[known.item()]] if problem == "cheapest_serving" else [])
    assert labels(figure) == ["1e20 FLOP", "1e21 FLOP", "1e22 FLOP"]


def test_over_training_by_budget_has_a_panel_a_problem(of_budgets) -> None:
    figure = plots.over_training_by_budget(of_budgets)
    for axes, problem in zip(figure.axes, of_budgets["problem"].values, strict=True):
        assert_points(axes, of_budgets["over_training_ratio"].sel(problem=problem))
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [1.0]


def assert_points(axes, found: xr.DataArray) -> None:
    """Medians are markers, bands vertical lines, beside each other at their expert count; one color a budget."""
    points = [line for line in axes.lines if len(line.get_xdata()) == len(COUNTS) and line.get_linestyle() == "None"]
    colors = budget_colors(3)
    for i, (flop, line, lines) in enumerate(zip(found["train_flop"].values, points, axes.collections, strict=True)):
        low, middle, high = found.sel(train_flop=flop).transpose("quantile", "num_experts").values
        np.testing.assert_array_equal(line.get_ydata(), middle)
        np.testing.assert_array_equal(np.round(line.get_xdata()), range(5))
        drawn = np.array([[s[0, 1], s[1, 1]] for s in lines.get_segments()])
        np.testing.assert_allclose(drawn, np.stack([low, high], axis=1))
        assert to_hex(line.get_color()) == to_hex(colors[i])
    assert len({line.get_marker() for line in points}) == 3


def test_calibration_shows_coverage_and_what_chance_allows() -> None:
    level = [0.2, 0.5, 0.9]
    found = xr.Dataset(
        {
            "coverage": (("forecaster", "level"), [[0.1, 0.4, 0.8], [0.2, 0.6, 1.0]]),
            "by_chance": (("level", "quantile"), [[0.1, 0.2, 0.3], [0.3, 0.5, 0.7], [0.8, 0.9, 1.0]]),
        },
        coords={"forecaster": ["one law", "average"], "level": level, "quantile": QUANTILES},
        attrs={"runs": 25},
    )
    figure = plots.calibration(found)
    (axes,) = figure.axes
    diagonal, *own = axes.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [100, 100]])
    for line, coverage in zip(own, found["coverage"].values, strict=True):
        np.testing.assert_allclose(line.get_xydata(), 100 * np.stack([level, coverage], axis=1))
    low, _, high = 100 * found["by_chance"].values.T
    assert_ribbon(ribbons(axes)[0], 100 * np.array(level), low, high)
    assert labels(figure) == ["90% by chance", "one law", "average"]
    assert "25 held-out runs" in axes.get_ylabel()


def test_law_weights_stand_beside_each_other_at_every_scale() -> None:
    weight = banded("law", "limit", low=0.1, high=0.5, law=["yun", "effective-size", "wang"], limit=[1e18, 1e19, 1e20, 1e21])
    found = xr.Dataset({"weight": weight, "runs": ("limit", [10, 20, 30, 40])})
    figure = plots.law_weights(found)
    (axes,) = figure.axes
    for name, line, lines in zip(found["law"].values, axes.lines, axes.collections, strict=True):
        low, middle, high = weight.sel(law=name).values
        np.testing.assert_array_equal(line.get_ydata(), middle)
        drawn = np.array([[s[0, 1], s[1, 1]] for s in lines.get_segments()])
        np.testing.assert_allclose(drawn, np.stack([low, high], axis=1))
        np.testing.assert_array_equal(np.round(line.get_xdata()), range(4))
    assert [tick.get_text() for tick in axes.get_xticklabels()][:2] == ["1e18 FLOP\n10 runs", "1e19 FLOP\n20 runs"]
    assert labels(figure) == ["yun", "effective-size", "wang"]


def test_the_surface_is_the_median_and_its_slices_carry_bands() -> None:
    by = {
        "activation_ratio": np.geomspace(1 / 128, 1 / 2, 7),
        "granularity": np.geomspace(4.0, 32.0, 4),
        "train_flop": [1e19, 1e21],
    }
    leverage = banded(*by, low=1.5, high=8.0, **by)
    found = xr.Dataset({"leverage": leverage, "published": leverage.sel(quantile=0.5, drop=True) * 1.01})
    figure = plots.leverage_surface(found, granularity=8.0, activation_ratio=1 / 32, train_flop=1e21)
    surface, by_ratio, by_granularity = figure.axes
    expected = leverage.sel(quantile=0.5, train_flop=1e21).transpose("granularity", "activation_ratio")
    np.testing.assert_array_equal(np.asarray(surface.collections[0].get_array()).ravel(), expected.values.ravel())
    slices = (
        (by_ratio, "activation_ratio", found.sel(granularity=8.0, method="nearest")),
        (by_granularity, "granularity", found.sel(activation_ratio=1 / 32, method="nearest")),
    )
    for axes, along, part in slices:
        drawn = [line for line in axes.lines if len(line.get_xdata())]
        for flop, line, dotted, corners in zip(by["train_flop"], drawn[0::2], drawn[1::2], ribbons(axes), strict=True):
            low, middle, high = part["leverage"].sel(train_flop=flop).values
            np.testing.assert_array_equal(line.get_ydata(), middle)
            np.testing.assert_array_equal(dotted.get_ydata(), part["published"].sel(train_flop=flop))
            assert_ribbon(corners, by[along], low, high)
    assert by_ratio.get_title() == "at granularity 8"
    assert by_granularity.get_title() == "at activation ratio 1/32"
    assert labels(figure) == ["1e19 FLOP", "1e21 FLOP", "published coefficients"]


@pytest.mark.parametrize(("ends", "said"), [((0.02, 1.0), ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]), ((1e-3, 1e3), ["0.001", "0.01", "0.1", "1", "10", "100", "1000"])])  # fmt: skip
def test_words_of_a_logarithmic_axis_are_few(ends, said) -> None:
    figure, axes = new_figure()
    axes.plot(ends, ends)
    axes.set_xlim(*ends)
    decades(axes.xaxis, lambda value: f"{value:g}")
    figure.canvas.draw()
    low, high = ends
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    assert [word.get_text() for place, word in ticks if low * 0.999 <= place <= high * 1.001] == said


@pytest.mark.parametrize("most", [4, 9, 13])
def test_words_of_many_expert_counts_do_not_touch(most):
    figure, axes = new_figure()
    expert_axis(axes, [2**k for k in range(most)])
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[0].height >= 0.6 * figure.dpi * 7 / 72
