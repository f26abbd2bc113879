"""Write ``docs/sweep.md``: what this project's own runs show, beside a truth that is known.

``python docs/make_sweep.py`` reads the registered table ``bayesmoe-sweep`` and ``sweep/runs.jsonl``. Fits are kept in ``build/sweep`` by the
table's checksum.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "sweep.md"
RUNS = ROOT / "sweep" / "runs.jsonl"
LIMITS = (1 / 3, 1 / 10)
"""Shares of the largest training compute above which runs are held out."""
LEVELS = (0.5, 0.8, 0.9)
CELL = ["d_model", "tokens", "num_experts"]
INFINITE = 1e60


def kept(name: str, checksum: str, make: Callable[[], Any]) -> Any:
    """What ``make`` gives for a table, made once."""
    from bayesmoe.files import written_whole

    file = ROOT / "build" / "sweep" / f"{name}-{checksum[:12]}.pkl"
    if not file.exists():
        made = make()
        with written_whole(file) as path:
            path.write_bytes(pickle.dumps(made))
    return pickle.loads(file.read_bytes())


def progress(step: Any) -> None:
    """One line of standard error a stage."""
    if step.done == step.total:
        print(step.stage, file=sys.stderr)


def line_fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope, intercept and residual standard deviation of a straight line."""
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - slope * x - intercept
    return float(slope), float(intercept), float(np.sqrt((residual**2).sum() / max(1, len(x) - 2)))


def replicate_noise(frame: pd.DataFrame) -> pd.DataFrame:
    """Standard deviation of ln loss between seeds by experts: cells, degrees of freedom, pooled sd."""
    of_cells = (
        frame.assign(ln=np.log(frame["loss"])).groupby(CELL)["ln"].agg(["var", "count"]).query("count > 1").reset_index()
    )
    of_cells["freedom"] = of_cells["count"] - 1
    of_cells["sum"] = of_cells["var"] * of_cells["freedom"]
    pooled = of_cells.groupby("num_experts")[["freedom", "sum"]].sum()
    pooled.loc["all"] = pooled.sum()
    return pooled.assign(sd=np.sqrt(pooled["sum"] / pooled["freedom"]))


def lines_in_tokens(frame: pd.DataFrame, entropy: float) -> pd.DataFrame:
    """Power law in tokens above the entropy, of each size and expert count with four or more numbers of tokens."""
    found = []
    for (d, e), here in frame.groupby(["d_model", "num_experts"]):
        means = here.groupby("tokens")["loss"].mean()
        if len(means) >= 4:
            x, y = np.log(means.index.to_numpy(float)), np.log(means.to_numpy() - entropy)
            slope, intercept, _ = line_fit(x, y)
            predicted = entropy + np.exp(intercept + slope * x)
            found.append((d, e, len(x), slope, float(np.sqrt(np.mean(np.log(means.to_numpy() / predicted) ** 2)))))
    return pd.DataFrame(found, columns=["d_model", "num_experts", "lengths", "slope", "residual"])


def frontier(frame: pd.DataFrame, *, dense: bool) -> pd.DataFrame:
    """Lowest mean loss of dense models, or of any, in each factor of two of training compute."""
    means = frame.groupby(CELL)[["loss", "train_flop"]].mean().reset_index()
    means = means[means["num_experts"] == 1] if dense else means
    octave = np.floor(np.log2(means["train_flop"] / 1e10) + 1e-9)
    return means.loc[means.groupby(octave)["loss"].idxmin()].sort_values("train_flop")


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """By how much of the dense model's loss each expert count's lies below it, by width and tokens."""
    means = frame.groupby(CELL)["loss"].mean().unstack()
    return 1.0 - means.div(means[1], axis=0)


def irreducible(fit: Any, entropy: float) -> list[tuple[str, float, np.ndarray]]:
    """By law of the average: weight, and 5, 50 and 95% quantiles of its loss at infinite size and tokens."""
    from bayesmoe.inference.ensemble import components
    from bayesmoe.inference.store import FitInfo

    found = []
    for name, member in components(fit).items():
        law = FitInfo.read(member.fit).law
        posterior = {key: np.asarray(value).ravel() for key, value in member.fit["posterior"].dataset.items()}
        run = dict.fromkeys(("num_experts", "top_k", "granularity", "activation_ratio"), 1.0)
        run |= {"shared_experts": 0.0} | dict.fromkeys(("n_dense", "n_active", "n_total", "tokens", "train_flop"), INFINITE)
        loss = np.asarray(law.loss(posterior, run), dtype=float)
        found.append((name, member.weight, np.quantile(loss, [0.05, 0.5, 0.95])))
    return found


def draw_power_laws(frame: pd.DataFrame, entropy: float) -> Any:
    """Loss above the entropy against training compute: every cell, and the frontier of dense models and of all."""
    from bayesmoe.plots.style import MUTED, OKABE_ITO, new_panels

    figure, panels = new_panels(2)
    means = frame.groupby(CELL)[["loss", "train_flop"]].mean().reset_index()
    for axes, dense in zip(panels, (True, False), strict=True):
        here = means[(means["num_experts"] == 1) == dense] if dense else means[means["num_experts"] > 1]
        for color, (d, of_width) in zip(OKABE_ITO, here.groupby("d_model"), strict=False):
            best = of_width.groupby("train_flop")["loss"].min()
            axes.plot(best.index, best - entropy, "o-", color=color, markersize=4, linewidth=1.0, label=f"width {d}")
        at = frontier(frame, dense=True) if dense else frontier(frame[frame["num_experts"] > 1].copy(), dense=False)
        slope, intercept, _ = line_fit(np.log(at["train_flop"].to_numpy()), np.log(at["loss"].to_numpy() - entropy))
        x = np.geomspace(at["train_flop"].min(), at["train_flop"].max(), 50)
        axes.plot(x, np.exp(intercept) * x**slope, "--", color=MUTED, label=f"frontier, slope {slope:.2f}")
        axes.set(xscale="log", yscale="log", xlabel="training FLOP", ylabel="loss - entropy, nats per token")
        axes.set_title("dense" if dense else "best of the expert counts")
        axes.legend(fontsize=7)
    ends = np.array([axes.get_ylim() for axes in panels])
    for axes in panels:
        axes.set_ylim(ends[:, 0].min(), ends[:, 1].max())
    return figure


def draw_gains(frame: pd.DataFrame) -> Any:
    """By how much experts lower the loss, by tokens, one panel a width."""
    import matplotlib as mpl

    from bayesmoe.plots.style import GRID, MUTED, new_panels

    table = gains(frame)
    widths = [d for d, of_width in table.groupby(level="d_model") if of_width.notna().sum(axis=1).max() > 2]
    figure, panels = new_panels(3, height=5.6, rows=-(-len(widths) // 3), sharey=True)
    lengths = sorted(frame["tokens"].unique())
    for axes, d in zip(panels, widths, strict=False):
        for (_, tokens), row in table.loc[[d]].iterrows():
            row = row.dropna()
            shade = mpl.colormaps["viridis"](lengths.index(tokens) / max(1, len(lengths) - 1))
            axes.plot(
                row.index, 100 * row, "o-", color=shade, markersize=3.5, linewidth=1.1, label=f"{tokens / 1e6:.2g}M tokens"
            )
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.set(
            xscale="log", xticks=[1, 4, 16, 64], xticklabels=["1", "4", "16", "64"], xlabel="experts", title=f"width {d}"
        )
        axes.legend(fontsize=6.5)
    for axes in panels[len(widths) :]:
        axes.set_visible(False)
    for axes in panels[::3]:
        axes.set_ylabel("loss below dense, %")
        axes.grid(True, color=GRID)
    return figure


def table_of(heads: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    return [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {' | '.join(row)} |" for row in rows), ""]


def noise_text(frame: pd.DataFrame, rows: list[dict[str, Any]]) -> list[str]:
    """The section on replicates."""
    noise = replicate_noise(frame)
    cells = [[str(name), f"{row.freedom:.0f}", f"{100 * row.sd:.2f}%"] for name, row in noise.iterrows()]
    error = np.median([row["loss_se"] / row["loss"] for row in rows])
    return [
        "## Noise",
        "",
        "Standard deviation of ln loss between seeds (initial parameters and documents) of one configuration, pooled over configurations.",
        "",
        *table_of(["experts", "degrees of freedom", "sd of ln loss"], cells),
        f"All runs are evaluated on the same {2**18:,} tokens; what the language itself is surprised by them beyond its entropy is taken off. What",
        f"is left of chance in the documents is {100 * error:.2f}% of the loss in the median run, and most of that is common to all runs.",
        "",
    ]


def power_law_text(frame: pd.DataFrame, entropy: float) -> list[str]:
    """The section on power laws."""
    lines = lines_in_tokens(frame, entropy)
    cells = [
        [str(row.d_model), str(row.num_experts), str(row.lengths), f"{row.slope:+.2f}", f"{100 * row.residual:.1f}%"]
        for row in lines.itertuples()
        if row.num_experts in (1, 4, 16, 64)
    ]
    said = []
    for name, dense in (("dense models", True), ("all models", False)):
        at = frontier(frame, dense=dense)
        x, y = np.log(at["train_flop"].to_numpy()), np.log(at["loss"].to_numpy() - entropy)
        slope, intercept, _ = line_fit(x, y)
        off = np.sqrt(np.mean(np.log(at["loss"].to_numpy() / (entropy + np.exp(intercept + slope * x))) ** 2))
        decades = np.log10(at["train_flop"].max() / at["train_flop"].min())
        said.append(
            f"- Frontier of {name}: loss above the entropy falls with the power {slope:+.2f} of training FLOP over {decades:.1f} decades, "
            f"{100 * off:.1f}% of the loss off a straight line (root mean square)."
        )
    return [
        "## Power laws",
        "",
        *said,
        "",
        "![Loss above the entropy](sweep-power-laws.png)",
        "",
        "Power of tokens in loss above the entropy at a fixed size and expert count, and the root mean square of what a loss is off that line:",
        "",
        *table_of(["width", "experts", "numbers of tokens", "power", "off the line"], cells),
    ]


def gain_text(frame: pd.DataFrame) -> list[str]:
    """The section on experts."""
    table = gains(frame)
    counts = [count for count in (4, 16, 64) if count in table]
    cells = [
        [str(d), f"{tokens / 1e6:.3g}M", f"{tokens / (24 * d * d):.0f}"]
        + ["" if np.isnan(row[count]) else f"{100 * row[count]:+.1f}%" for count in counts]
        + ["" if row.drop(1).isna().all() else f"{row.drop(1).idxmax()}: {100 * row.drop(1).max():+.1f}%"]
        for (d, tokens), row in table.iterrows()
    ]
    return [
        "## What experts gain",
        "",
        "By how much the loss lies below that of the dense model of the same size and tokens (mean over seeds). Two routed experts of half width a token, so",
        "that training FLOP are the same.",
        "",
        "![Loss below that of the dense model](sweep-experts.png)",
        "",
        *table_of(["width", "tokens", "tokens a parameter", *(f"{count} experts" for count in counts), "best"], cells),
    ]


def entropy_text(fit: Any, entropy: float) -> list[str]:
    """The section on the irreducible loss."""
    found = irreducible(fit, entropy)
    cells = [
        [
            name,
            f"{weight:.2f}",
            f"{band[1]:.3f} ({band[0]:.3f} to {band[2]:.3f})",
            "yes" if band[0] <= entropy <= band[2] else "no",
        ]
        for name, weight, band in found
    ]
    inside = sum(band[0] <= entropy <= band[2] for _, _, band in found)
    return [
        "## The irreducible loss, and the truth",
        "",
        f"The entropy of the language is {entropy:.4f} nats per token, exactly. Beside it each law's loss at infinite size and tokens, fitted to all runs",
        f"with default priors: {inside} of {len(found)} bands hold the truth.",
        "",
        *table_of(["law", "weight in the average", "median (90% band)", "holds the entropy"], cells),
    ]


def coverage_text(backtests: dict[float, Any]) -> list[str]:
    """The section on forecasts."""
    from bayesmoe.forecasting.backtest import AVERAGE, AVERAGE_ALONE, BASELINE
    from bayesmoe.forecasting.scores import inside

    cells = []
    for limit, found in backtests.items():
        for name in (AVERAGE, AVERAGE_ALONE, found.loo_pick, BASELINE):
            draws = found.draws[name]
            label = f"{name} (law that PSIS-LOO picks)" if name == found.loo_pick else name
            cells.append(
                [f"1/{1 / limit:.0f}", str(len(found.observed)), f"{found.budget_beyond.max():.1f}x", label]
                + [f"{100 * inside(draws, found.observed, level).mean():.0f}%" for level in LEVELS]
                + [f"{100 * np.log(found.observed / np.median(draws, axis=0)).mean():+.1f}%"]
            )
    return [
        "## Forecasts of the largest runs",
        "",
        "Runs above a share of the largest training compute are held out and forecast from the others. Coverage of the central bands, and bias",
        "(mean of ln observed over the median forecast; negative: better than forecast).",
        "",
        *table_of(
            ["above", "runs", "farthest", "forecast", *(f"{100 * level:.0f}% band" for level in LEVELS), "bias"], cells
        ),
    ]


def head_text(rows: list[dict[str, Any]], frame: pd.DataFrame, entropy: float) -> list[str]:
    """The beginning of the page."""
    flop, made_with = frame["train_flop"], rows[-1]["versions"]
    return [
        "# This project's own runs",
        "",
        f"Made by `python docs/make_sweep.py` from the {len(frame)} runs of the data set `bayesmoe-sweep`, which `make sweep` trained: {flop.min():.2g} to",
        f"{flop.max():.2g} FLOP, {frame['n_dense'].min():,} to {frame['n_dense'].max():,} parameters of the backbone, {frame['tokens'].min() / 1e6:.2g} to "
        f"{frame['tokens'].max() / 1e6:.2g} million tokens, {frame['num_experts'].min()} to {frame['num_experts'].max()} experts,",
        f"{sum(row['cpu_s'] for row in rows) / 3600:.1f} CPU-hours in processes of one thread beside other work, with "
        + ", ".join(f"{name} {number}" for name, number in made_with.items())
        + ".",
        "",
        "The language (`sweep/language.py`) has a topic a document, a name that is recalled at a distance, and words that follow from the topic and the",
        f"last one or two words by fixed random tables with Zipf-distributed entries. Its entropy, {entropy:.4f} nats per token, is a finite sum. The models",
        "(`sweep/model.py`) are transformers of two layers with gated experts of half width in both, two of E for each token. Sizes are counted as",
        "`bayesmoe.architecture.Family` counts them: without embeddings, norms and routers; a router has width times E parameters a layer, which at width",
        "24 and 64 experts is a fifth of the backbone. Learning rates follow a rule (`sweep/learning_rate.json`) that `python -m sweep.tune` read off",
        "the runs of `sweep/tuning.jsonl`. Nothing was left out after training.",
        "",
        "`make sweep SMALL=1` trains six of the runs again and compares their losses with the committed ones.",
        "",
    ]


def main() -> None:
    """Fit, hold out, draw and write."""
    import jax

    from bayesmoe.files import write_text
    from bayesmoe.fitting import fit_spec
    from bayesmoe.forecasting.backtest import backtest
    from bayesmoe.inference.spec import load_table, read_fit_spec
    from bayesmoe.runs import load_source
    from sweep.language import Language

    jax.config.update("jax_enable_x64", True)
    source = load_source("bayesmoe-sweep")
    frame, entropy = source.frame, Language().entropy()
    names = set(frame["run_id"])
    rows = [row for row in map(json.loads, RUNS.read_text(encoding="utf-8").splitlines()) if row["run_id"] in names]
    spec = read_fit_spec(ROOT / "models" / "bayesmoe-sweep.toml")
    table = load_table(spec.data, spec.groups)
    fit = kept("average", source.sha256, lambda: fit_spec(spec, on_progress=progress))
    flop = table.frame["train_flop"].to_numpy()
    backtests = {
        limit: kept(
            f"above-{limit:.2f}",
            source.sha256,
            lambda limit=limit: backtest(spec, table, flop > limit * flop.max(), on_progress=progress),
        )
        for limit in LIMITS
    }
    draw_power_laws(frame, entropy).savefig(OUT.with_name("sweep-power-laws.png"), dpi=130)
    draw_gains(frame).savefig(OUT.with_name("sweep-experts.png"), dpi=130)
    page = [
        *head_text(rows, frame, entropy),
        *noise_text(frame, rows),
        *power_law_text(frame, entropy),
        *gain_text(frame),
        *entropy_text(fit, entropy),
        *coverage_text(backtests),
    ]
    write_text(OUT, "\n".join(page))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
