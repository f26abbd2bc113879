"""Figures show the numbers they were given: heights, medians and band ends are read back from what was drawn."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from bayesmoe import plots
from bayesmoe.criticism.predictive import predictive_check
from bayesmoe.criticism.prior_predictive import prior_bands, prior_predictive
from bayesmoe.curves.by_compute import loss_by_compute
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.risk import risk
from bayesmoe.decisions.total_cost import option_regret
from bayesmoe.errors import InputError
from bayesmoe.inference.predict import predict
from bayesmoe.laws import law_named
from bayesmoe.planning.store import PlanInfo
from bayesmoe.plots.style import expert_colors, look_of
from bayesmoe.specs import to_json

PROBLEMS = ("cheapest_serving", "lowest_loss")
COUNTS = (1, 4, 8, 16, 32)
NAMES = ["loss_reference", "e_above", "noise_scale"]


@pytest.fixture(autouse=True)
def closed():
    """Leave no figure open."""
    before = plt.get_fignums()
    yield
    for number in set(plt.get_fignums()) - set(before):
        plt.close(number)
    assert plt.get_fignums() == before


@pytest.fixture(scope="module")
def summary(small_plan):
    """Risk of the small plan."""
    return risk(small_plan)


def only_axes(figure):
    """The figure's single axes, drawn."""
    figure.canvas.draw()
    (axes,) = figure.axes
    return axes


def bands(axes):
    """Vertical lines as (x, low, high), in the order drawn."""
    return [np.array([[s[0, 0], s[0, 1], s[1, 1]] for s in lines.get_segments()]) for lines in axes.collections]


def markers(axes):
    """Plotted lines of points that have data."""
    return [line for line in axes.lines if line.get_marker() not in ("None", "", None) and len(line.get_xdata())]


def labels(figure):
    """Words of the figure's legend."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def ticks(axes):
    """Words under the x axis."""
    return [tick.get_text() for tick in axes.get_xticklabels()]


def test_bars_are_the_chances_of_being_best(summary):
    figure = plots.best_experts(summary)
    axes = only_axes(figure)
    assert len(axes.containers) == 2
    for bars, problem in zip(axes.containers, PROBLEMS, strict=True):
        np.testing.assert_array_equal([bar.get_height() for bar in bars], summary["p_best"].sel(problem=problem))
        np.testing.assert_array_equal(np.round([bar.get_x() + bar.get_width() / 2 for bar in bars]), range(5))
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {look_of(problem)["color"]}
    assert ticks(axes) == ["dense", "4", "8", "16", "32"]
    assert labels(figure) == [look_of(problem)["label"] for problem in PROBLEMS]


def test_bars_carry_their_height_unless_there_is_no_room_for_it(summary):
    p_best = xr.zeros_like(summary["p_best"]) + np.array([0.0, 0.004, 0.016, 0.25, 0.73])
    axes = only_axes(plots.best_experts(summary.assign(p_best=p_best)))
    assert [text.get_text() for text in axes.texts] == ["", "", "", "25%", "73%"] * 2


def test_over_training_shows_medians_and_bands(summary):
    figure = plots.over_training(summary)
    axes = only_axes(figure)
    ratio = summary["over_training_ratio"]
    for problem, band, line in zip(PROBLEMS, bands(axes), markers(axes), strict=True):
        low, middle, high = ratio.sel(problem=problem).transpose("quantile", "num_experts").values
        np.testing.assert_allclose(band[:, 1], low, rtol=1e-12)
        np.testing.assert_allclose(band[:, 2], high, rtol=1e-12)
        np.testing.assert_array_equal(line.get_ydata(), middle)
        np.testing.assert_allclose(line.get_xdata(), band[:, 0], rtol=1e-12)
        np.testing.assert_array_equal(np.round(line.get_xdata()), range(5))
        assert (to_hex(line.get_color()), line.get_marker()) == (look_of(problem)["color"], look_of(problem)["marker"])
    assert axes.get_yscale() == "log"
    assert ticks(axes) == ["dense", "4", "8", "16", "32"]
    assert [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "--"] == [[1.0, 1.0]]


def test_loss_by_experts_shows_the_optimum_and_both_problems(summary):
    axes = only_axes(plots.loss_by_experts(summary))
    series = {"loss_optimal": summary["loss_optimal_loss"]} | {p: summary["loss"].sel(problem=p) for p in PROBLEMS}
    for (name, values), band, line in zip(series.items(), bands(axes), markers(axes), strict=True):
        low, middle, high = values.transpose("quantile", "num_experts").values
        np.testing.assert_allclose(band[:, 1:], np.stack([low, high], axis=1), rtol=1e-12)
        np.testing.assert_array_equal(line.get_ydata(), middle)
        np.testing.assert_array_equal(np.round(line.get_xdata()), range(5))
        assert (to_hex(line.get_color()), line.get_marker()) == (look_of(name)["color"], look_of(name)["marker"])
    assert "nats per token" in axes.get_ylabel()


def test_differences_are_those_to_the_recommended_design(summary):
    upper, lower = plots.differences(summary).axes
    part = summary.sel(problem=PROBLEMS[0])
    others = [count for count in COUNTS if count != int(part["closest"])]
    for axes, name in ((upper, "loss"), (lower, "cost")):
        low, middle, high = (
            part[f"design_{name}_difference"].sel(num_experts=others).transpose("quantile", "num_experts").values
        )
        (band,) = (np.array([segment[:, 1] for segment in one.get_segments()]) for one in axes.collections)
        np.testing.assert_allclose(band, np.stack([low, high], axis=1))
        medians, *_ = (line.get_ydata() for line in axes.lines if line.get_marker() == look_of(PROBLEMS[0])["marker"])
        np.testing.assert_array_equal(medians, middle)
        (star,) = (line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "*")
        assert star == [[COUNTS.index(int(part["closest"])), 0.0]]
    assert ticks(lower) == ["dense", "4", "8", "16", "32"]


def test_differences_are_of_the_goal_unless_another_problem_is_asked(small_plan, summary):
    other = plots.differences(summary, PROBLEMS[1]).axes[0].lines[0].get_color()
    scenario = dataclasses.replace(PlanInfo.read(small_plan).scenario, goal=PROBLEMS[1])
    goal = summary.assign_attrs(scenario=to_json(scenario))
    assert (
        plots.differences(goal).axes[0].lines[0].get_color()
        == other
        != plots.differences(summary).axes[0].lines[0].get_color()
    )


def test_the_total_cost_is_training_and_serving_with_the_band_of_their_sum(summary):
    axes = only_axes(plots.total_cost(summary))
    part = summary.sel(problem=PROBLEMS[0])
    training, serving = ([bar.get_height() for bar in own] for own in axes.containers)
    np.testing.assert_allclose(training, part["design_mean_train_usd"])
    np.testing.assert_allclose(np.add(training, serving), part["design_mean_cost"])
    low, _, high = part["design_lifetime_usd"].transpose("quantile", "num_experts").values
    band = np.array([segment[:, 1] for segment in axes.collections[0].get_segments()])
    np.testing.assert_allclose(band, np.stack([low, high], axis=1))


def test_the_total_cost_asks_for_a_demand(summary):
    with pytest.raises(InputError, match=r"serving\.lifetime_tokens"):
        plots.total_cost(summary.drop_vars("design_lifetime_usd"))


def test_loss_by_compute_ends_at_the_recommended_design(small_fit, small_plan):
    decision = decide(small_plan, small_fit, advice=False).main
    found = loss_by_compute(small_fit, small_plan, decision)
    axes = only_axes(plots.loss_by_compute(found))
    design = decision.closest.design
    (star,) = (line.get_xydata()[0] for line in axes.lines if line.get_marker() == "*")
    assert star[0] == pytest.approx(6.0 * design.n_active * design.tokens, rel=1e-6)
    # Both are medians of the same law, of draws of their own: four standard errors of a median apart at most.
    spread = decision.closest.loss.high - decision.closest.loss.low
    assert star[1] == pytest.approx(
        decision.closest.loss.median, abs=4 * 1.25 * spread / 3.3 / np.sqrt(small_plan.sizes["sample"])
    )
    seen = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == ".")
    assert seen == small_fit["constant_data"].sizes["run"]
    np.testing.assert_allclose(found["threshold"], np.quantile(small_plan["threshold_loss"], [0.05, 0.5, 0.95]))
    along = found["loss"].sel(quantile=0.5).values
    assert (np.diff(along) < 0).all()


def test_speedup_draws_its_band_the_runs_and_the_threshold():
    flop, levels = np.geomspace(1e18, 1e22, 5), (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    curve = np.linspace(1.1, 1.7, 7) * np.ones((5, 1))
    curve[-1, -1] = np.inf
    found = xr.Dataset(
        {"curve": (("curve_flop", "quantile"), curve), "speedup": (("budget", "quantile"), curve[[2, 4]])},
        coords={"curve_flop": flop, "quantile": list(levels), "train_flop": ("budget", flop[[2, 4]])},
        attrs={
            "of": "b $cheap",
            "over": "a",
            "verdict": "PROMOTE",
            "threshold": 1.2,
            "runs_flop_of": [1e17, 1e20],
            "runs_flop_over": [1e18, 1e21],
        },
    )
    axes = only_axes(plots.speedup(found))
    assert axes.get_title() == r"b \$cheap over a: PROMOTE"
    median = next(line for line in axes.lines if len(line.get_xdata()) == 5)
    np.testing.assert_allclose(median.get_ydata(), 1.4)
    level = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == 0]
    assert level == [1.0, 1.2]
    (runs,) = (patch for patch in axes.patches if patch.get_label() == "runs of both")
    assert (runs.get_x(), runs.get_x() + runs.get_width()) == pytest.approx((1e18, 1e20))
    assert axes.get_ylim()[1] < 1e3


@pytest.mark.parametrize(
    "plot", [plots.best_experts, plots.over_training, plots.loss_by_experts, plots.total_cost, plots.differences]
)
def test_a_plan_without_any_solution_can_be_drawn(summary, plot):
    plot(
        summary.where(False).assign({name: summary[name] for name in ("closest", "design_meets_probability")})
    ).canvas.draw()


def test_fit_to_runs_shows_every_residual_in_its_band(small_fit):
    found = predictive_check(small_fit)
    figure = plots.fit_to_runs(found)
    axes = only_axes(figure)
    colors = expert_colors(5)
    for i, (count, line) in enumerate(zip(COUNTS, markers(axes), strict=True)):
        here = found.isel(run=found["num_experts"].values == count)
        np.testing.assert_array_equal(line.get_xdata(), here["observed"])
        np.testing.assert_allclose(line.get_ydata(), 100 * here["residual"], rtol=1e-12)
        assert to_hex(line.get_color()) == to_hex(colors[i])
    (polygon,) = axes.collections
    corners = {tuple(corner) for corner in np.round(polygon.get_paths()[0].vertices, 9)}
    ends = np.concatenate([np.stack([found["observed"], 100 * found[name]], axis=1) for name in ("band_low", "band_high")])
    assert {tuple(end) for end in np.round(ends, 9)} <= corners
    assert labels(figure) == ["90% band", "dense", *(f"{count} experts" for count in COUNTS[1:])]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("observed loss, nats per token", "observed − predicted, % of loss")


def test_fit_to_runs_names_what_was_observed(small_fit):
    found = predictive_check(small_fit)
    leverage = found.assign(observed=found["observed"].assign_attrs(units="1", long_name="leverage"))
    axes = only_axes(plots.fit_to_runs(leverage))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("observed leverage", "observed − predicted, % of leverage")


def test_fit_to_runs_without_expert_counts_has_one_series(small_fit):
    found = predictive_check(small_fit).drop_vars("num_experts")
    figure = plots.fit_to_runs(found)
    (line,) = markers(only_axes(figure))
    np.testing.assert_array_equal(line.get_xdata(), found["observed"])
    assert labels(figure) == ["90% band", "runs"]


def test_prior_predictive_draws_each_laws_bands():
    bands = [prior_bands(prior_predictive(law_named(name), draws=50)) for name in ("yun", "clark", "tian-leverage")]
    figure = plots.prior_predictive(bands)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["yun", "clark", "tian-leverage"]
    assert [axes.get_ylabel() for axes in panels] == ["nats per token", "nats per token", "leverage"]
    for axes, one in zip(panels, bands, strict=True):
        drawn = [(name, experts) for experts in (1.0, 64.0) for name in ("by_size", "by_tokens")]
        for line, (name, experts) in zip(axes.lines, drawn, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), one[name].sel(num_experts=experts, quantile=0.5))
            np.testing.assert_allclose(line.get_xdata(), np.geomspace(0.1, 10, 9))
    assert labels(figure)[:2] == ["dense by size, with 90% band", "dense by tokens"]


def test_traces_are_the_draws_of_every_chain(small_fit):
    figure = plots.trace(small_fit, NAMES)
    drawn = [line.get_ydata() for axes in figure.axes for line in axes.lines]
    for name in NAMES:
        for chain in small_fit["posterior"][name].values:
            assert any(np.array_equal(line, chain) for line in drawn)


@pytest.mark.parametrize("plot", [plots.trace, plots.rank, plots.prior_posterior])
def test_diagnostics_have_an_axis_for_each_name(small_fit, plot):
    figure = plot(small_fit, NAMES)
    figure.canvas.draw()
    titles = " ".join(axes.get_title() + axes.get_xlabel() for axes in figure.axes)
    assert all(name in titles for name in NAMES)
    assert all(axes.lines or axes.collections or axes.patches for axes in figure.axes[: len(NAMES)])


def test_more_than_four_names_take_more_rows(small_fit):
    low, high = (plots.trace(small_fit, [*NAMES, *more]).get_size_inches() for more in ([], ["gain", "e_start"]))
    assert (low[0], low[1] * 2) == (high[0], high[1])


@pytest.mark.parametrize("plot", [plots.best_experts, plots.total_cost, plots.loss_by_experts, plots.over_training])
def test_a_bare_plan_is_drawn_as_its_risk_is(small_plan, summary, plot):
    bare, made = (only_axes(plot(given)) for given in (small_plan, summary))
    lines, same = ([np.asarray(line.get_xydata()) for line in axes.lines] for axes in (bare, made))
    assert len(lines) == len(same)
    assert all(np.array_equal(one, other) for one, other in zip(lines, same, strict=True))
    heights, others = ([bar.get_height() for bar in axes.patches] for axes in (bare, made))
    assert heights == others
    assert len(lines) + len(heights) > 0


def test_a_bare_fit_is_drawn_as_its_predictive_check_is(small_fit):
    bare, made = (plots.fit_to_runs(given).axes[0].lines for given in (small_fit, predictive_check(small_fit)))
    assert [line.get_xydata().tolist() for line in bare] == [line.get_xydata().tolist() for line in made]


def test_traces_without_names_are_of_what_was_sampled(small_fit):
    titles = " ".join(axes.get_title() + axes.get_xlabel() for axes in plots.trace(small_fit).axes)
    assert all(name in titles for name in NAMES)
    assert "e_max" not in titles.split()


def test_a_regret_map_takes_the_bare_plan_and_asks_for_a_demand(small_plan):
    bare, given = plots.regret_map(small_plan), plots.regret_map(option_regret(small_plan), PROBLEMS[0])
    assert bare.axes[0].get_title() == given.axes[0].get_title() == look_of(PROBLEMS[0])["label"]
    with pytest.raises(InputError, match=r"serving\.lifetime_tokens"):
        plots.regret_map(small_plan.drop_vars("lifetime_tokens"))


def test_a_notebook_shows_a_figure_once(summary, monkeypatch):
    kept = plots.best_experts(summary)
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    shown = plots.best_experts(summary)
    assert plt.fignum_exists(kept.number)
    assert not any(plt.figure(number) is shown for number in plt.get_fignums())
    assert len(shown.axes[0].patches) == len(kept.axes[0].patches)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_expert_counts_have_distinct_colors(count):
    assert len({to_hex(color) for color in expert_colors(count)}) == count


def test_forward_validation_draws_coverage_and_bias_of_every_forecaster():
    dims = ("forecaster", "distance")
    found = xr.Dataset(
        {
            "coverage": (dims, np.array([[0.9, 0.8, 0.5], [0.95, 0.92, 0.9]])),
            "bias": (dims, np.array([[0.0, 0.01, 0.02], [-0.001, 0.002, -0.003]])),
            "runs": ("distance", [40, 20, 5]),
        },
        coords={"forecaster": ["one law", "average"], "distance": ["1 to 3x", "3 to 10x", "10 to 30x"]},
    )
    figure = plots.forward_validation(found)
    figure.canvas.draw()
    left, right = figure.axes
    for axes, name in ((left, "coverage"), (right, "bias")):
        drawn = [line.get_ydata() for line in markers(axes)]
        np.testing.assert_allclose(drawn, 100 * found[name].values)
    assert labels(figure) == ["one law", "average"]
    assert [text.get_text() for text in left.get_xticklabels()] == [
        "1 to 3x\n40 runs",
        "3 to 10x\n20 runs",
        "10 to 30x\n5 runs",
    ]


def test_a_tornado_runs_from_end_to_end_about_the_base():
    part = xr.Dataset(
        {
            "value": (("input", "side"), [[1.0, 2.0], [0.2, 0.4]]),
            "cost": (("problem", "input", "side"), [[[50.0, 150.0], [120.0, 90.0]]]),
            "recommended": (("problem", "input", "side"), [[[8, 4], [8, 0]]]),
            "baseline_cost": ("problem", [100.0]),
            "baseline_choice": ("problem", [8]),
        },
        coords={"problem": ["lowest_loss"], "input": ["serving.x", "training.y"], "side": ["low", "high"]},
        attrs={"unit": "USD"},
    )
    figure = plots.tornado(part, "lowest_loss")
    axes = only_axes(figure)
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bars in axes.containers for bar in bars]
    assert ends == [(100.0, 50.0), (100.0, 150.0), (100.0, 120.0), (100.0, 90.0)]
    assert [said.get_text() for said in axes.texts] == ["1", "2, 4 experts", "0.2", "0.4, none recommended"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["serving.x", "training.y"]
    assert labels(figure) == ["low end", "high end"]


def test_the_worth_of_runs_is_drawn_with_two_standard_errors():
    runs = xr.Dataset(
        {
            "num_experts": ("run", [4, 1, 4]),
            "n_dense": ("run", [1e8, 1e8, 3e7]),
            "tokens": ("run", [1e10, 1e10, 3e9]),
            "train_usd": ("run", [100.0, 100.0, 10.0]),
            "evsi_usd": ("run", [900.0, 500.0, 60.0]),
            "evsi_se_usd": ("run", [50.0, 20.0, 40.0]),
            "evpi_usd": 2000.0,
        }
    )
    figure = plots.next_run_value(runs)
    axes = only_axes(figure)
    dense, four = markers(axes)
    np.testing.assert_array_equal(dense.get_ydata(), [500.0])
    np.testing.assert_array_equal(four.get_ydata(), [900.0, 60.0])
    np.testing.assert_allclose(bands(axes)[1][:, 1:], [[800.0, 1000.0], [0.0, 140.0]])
    np.testing.assert_allclose(np.log(four.get_xdata()), np.log([100.0, 10.0]), atol=0.05)
    assert labels(figure) == ["dense", "4 experts"]
    assert "USD 2,000" in axes.get_title()


def test_a_regret_map_shows_every_option_and_the_choice(small_plan):
    regret = option_regret(small_plan)
    figure = plots.regret_map(regret, "lowest_loss")
    figure.canvas.draw()
    axes, bar = figure.axes
    options, star = axes.collections
    part = regret.sel(problem="lowest_loss")
    np.testing.assert_allclose(options.get_offsets()[:, 1], part["n_dense"])
    np.testing.assert_allclose(options.get_array(), np.maximum(part["regret_usd"], 1.0))
    assert int(part["chosen"].sum()) == 1
    np.testing.assert_allclose(star.get_offsets()[0, 1], part["n_dense"].values[part["chosen"].values][0])
    assert bar.get_ylabel() == "expected regret, USD"


def test_runs_whose_compute_is_not_known_are_left_out_of_the_curve(small_fit, small_plan):
    decision = decide(small_plan, small_fit, advice=False).main
    bare = small_fit.copy()
    bare["constant_data"] = xr.DataTree(
        small_fit["constant_data"].to_dataset().drop_vars(["tokens", "train_flop"], errors="ignore")
    )
    found = loss_by_compute(small_fit, small_plan, decision)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "bayesmoe.curves.by_compute.predict", lambda fit, frame, group: predict(small_fit, frame, group=group)
        )
        without = loss_by_compute(bare, small_plan, decision)
    assert without["run_flop"].isnull().all()
    axes = only_axes(plots.loss_by_compute(without))
    assert axes.get_title() == ""
    assert float(without["train_flop"][-1]) == pytest.approx(float(found["train_flop"][-1]))
