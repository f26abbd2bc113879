"""Clark et al. 2022, Unified Scaling Laws for Routed Language Models, arXiv:2202.01169.

Upstream: google-deepmind/scaling_laws_for_routing, ``data/curves.csv.gz`` (every evaluation of 223 runs).
License of the data: CC-BY 4.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError

TOKENS_PER_STEP = 256 * 2048

# The trusted repeats of routed runs differ by at most this much, so run noise does not explain two runs of
# one configuration that lie further apart, or two frequencies in the wrong order by more.
REPEAT_SPREAD_NATS = 0.029

RENAMED = {
    "router_type": "group",
    "total_parameter_count": "n_total",
    "dense_parameter_count": "n_dense",
    "loss_validation": "loss",
    "num_blocks": "num_layers",
    "model_size_label": "size_label",
}
KEPT = (
    "hyper_id", "step", "loss_c4", "loss_wikitext103", "num_experts", "d_model", "flop_increase", "k", "seed",
    "routing_frequency", "flops_per_step",
)  # fmt: skip
COLUMNS = [
    "run_id", "source", "group", "n_active", "n_total", "n_dense", "tokens", "num_experts", "top_k",
    "granularity", "shared_experts", "train_flop", "loss", "seed", "notes", "main_grid", "suspect",
    "routing_frequency", "flop_increase", "size_label", "d_model", "num_layers", "step", "loss_c4",
    "loss_wikitext103",
]  # fmt: skip
CELL = ["group", "size_label", "num_experts", "k", "flop_increase"]


def final(raw: Mapping[str, Path]) -> pd.DataFrame:
    """Return the last evaluation of every run, in the order of the file's ``hyper_id``.

    Parameters
    ----------
    raw : mapping of str to Path
        ``curves``: the upstream ``curves.csv.gz``.

    Returns
    -------
    DataFrame
        One row per run; columns as in the data card of ``clark2022_final``.

    Raises
    ------
    InputError
        A column is missing, or a run has no validation loss at its last step.
    """
    runs = _last_evaluations(raw["curves"])
    inverted = _beats_more_frequent_routing(runs)
    spread = _spread_of_repeats(runs)
    apart = spread > REPEAT_SPREAD_NATS
    better = inverted.map("SUSPECT: better than routing_frequency {:g} at same E; ".format)
    differ = spread.map("SUSPECT: two runs of one config differ by {:.3f} nats; ".format)
    reason = better.where(inverted.notna(), "") + differ.where(apart, "")
    return runs.assign(
        run_id="clark22-" + runs["hyper_id"].map("{:03d}".format),
        source="Clark2022",
        n_active=_n_active(runs),
        n_total=runs["n_total"].astype("int64"),
        n_dense=runs["n_dense"].astype("int64"),
        tokens=runs["step"] * TOKENS_PER_STEP,
        top_k=runs["k"].where(runs["num_experts"] > 1, 1),
        granularity=1,
        shared_experts=0,
        # A training step costs three forward passes; the source counts one.
        train_flop=3 * runs["flops_per_step"] * runs["step"],
        notes=reason + _configuration(runs),
        main_grid=_main_grid(runs).astype("int64"),
        suspect=(apart | inverted.notna()).astype("int64"),
    )[COLUMNS]


def _last_evaluations(path: Path) -> pd.DataFrame:
    """Read the file and keep the last step of every run; earlier steps are not decayed."""
    curves = pd.read_csv(path)
    for column in (*RENAMED, *KEPT):
        if column not in curves:
            hint = "download the registered commit again"
            raise InputError("must be a column of the file", file=path, column=column, hint=hint)
    curves = curves.rename(columns=RENAMED)
    runs = curves.loc[curves.groupby("hyper_id")["step"].idxmax()].reset_index(drop=True)
    blank = runs["loss"].isna()
    if blank.any():
        raise InputError(
            f"must be given at the last step of run {runs.loc[blank, 'hyper_id'].iloc[0]}",
            file=path,
            column="loss_validation",
            hint="drop the run: its earlier losses are not decayed",
        )
    return runs


def _n_active(runs: pd.DataFrame) -> pd.Series:
    """Parameters per token; the source's dense count ignores k > 1 and a wider dense model."""
    extra_experts = (runs["num_experts"] - 1).where(runs["num_experts"] > 1)
    one_expert = ((runs["n_total"] - runs["n_dense"]) / extra_experts).fillna(0)
    routed = runs["n_dense"] + (runs["k"] - 1) * one_expert
    return routed.where(runs["flop_increase"] == 1, runs["n_total"]).round().astype("int64")


def _main_grid(runs: pd.DataFrame) -> pd.Series:
    """Tell which runs lie on the grid the published law was fitted to."""
    return (runs["routing_frequency"] == 0.5) & (runs["k"] == 1) & (runs["flop_increase"] == 1)


def _configuration(runs: pd.DataFrame) -> pd.Series:
    """Return the run's settings as text, with the file's own k."""
    return (
        runs["routing_frequency"].map("routing_frequency={:.4g}".format)
        + runs["k"].map("; k={}".format)
        + runs["flop_increase"].map("; flop_increase={:g}".format)
        + "; size="
        + runs["size_label"]
    )


def _spread_of_repeats(runs: pd.DataFrame) -> pd.Series:
    """Largest loss minus smallest among the runs of one configuration."""
    loss = runs.groupby([*CELL, "routing_frequency"])["loss"]
    return loss.transform("max") - loss.transform("min")


def _beats_more_frequent_routing(runs: pd.DataFrame) -> pd.Series:
    """Return the next higher routing frequency where its best run is worse than this run, else NaN.

    Routing more layers adds parameters, so a run that routes fewer and is better by more than the noise was
    probably not trained as its row says.
    """
    best = runs.groupby([*CELL, "routing_frequency"], as_index=False)["loss"].min()
    ahead = best.groupby(CELL)[["routing_frequency", "loss"]].shift(-1).add_prefix("next_")
    next_up = runs.merge(best.drop(columns="loss").join(ahead), on=[*CELL, "routing_frequency"], how="left")
    inverted = next_up["next_loss"] - runs["loss"] > REPEAT_SPREAD_NATS
    return next_up["next_routing_frequency"].where(inverted)
