"""Two groups of runs to be compared ("recipes"): their runs, the architecture that both share, and how its models grow."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.architecture import train_flop
from bayesmoe.errors import InputError, nearest
from bayesmoe.inference.ensemble import heaviest
from bayesmoe.inference.store import GROUP_DIM, FitInfo

SIZES = ("n_dense", "n_active", "n_total")
_SHAPE = ("num_experts", "top_k", "granularity", "shared_experts")
_GROWING = ("d_model", "num_layers")
_RATIO_BEYOND = 100.0
"""How far beyond the tokens per parameter of the runs a design is looked for, either way."""


class Growth(NamedTuple):
    """How the models of an architecture grow: every covariate is a power of the active parameters, ``x = exp(a) n_active^b``.

    Attributes
    ----------
    intercept, exponent : dict of float
        a and b of every covariate but tokens and FLOP.
    """

    intercept: dict[str, float]
    exponent: dict[str, float]

    def run(self, ln_active: Any, ln_tokens: Any, exp: Any = np.exp) -> dict[str, Any]:
        """Covariates of a run of one epoch under the run table's column names; elementwise, ``exp`` that of the arrays' library."""
        run = {name: exp(self.intercept[name] + self.exponent[name] * ln_active) for name in self.intercept}
        n_active, tokens = exp(ln_active), exp(ln_tokens)
        known = {"n_active": n_active, "tokens": tokens, "unique_tokens": tokens}
        return {**run, **known, "train_flop": train_flop(n_active, tokens)}


class Recipes(NamedTuple):
    """What the runs of two groups say of how they may be compared.

    Attributes
    ----------
    of, over : str
        Names of B and A.
    growth : dict of Growth
        By group: the same for both where they share an architecture.
    num_experts : dict of float
        Expert count that is compared, by group; 1 where the runs have none.
    shared : bool
        Whether both groups have runs of one architecture.
    flop : dict of array
        Training FLOP of each group's runs, ``6 n_active tokens``.
    ln_tokens, ln_active : float
        Means over the runs of both: of what a law does not read.
    ln_ratio : tuple of float
        Least and most ln tokens per active parameter of a design.
    """

    of: str
    over: str
    growth: dict[str, Growth]
    num_experts: dict[str, float]
    shared: bool
    flop: dict[str, np.ndarray]
    ln_tokens: float
    ln_active: float
    ln_ratio: tuple[float, float]

    @property
    def groups(self) -> tuple[str, str]:
        """A and B."""
        return self.over, self.of

    @property
    def largest_flop(self) -> float:
        """FLOP of the largest run that both groups have."""
        return min(float(flop.max()) for flop in self.flop.values())

    @property
    def smallest_flop(self) -> float:
        """FLOP of the smallest run that both groups have."""
        return max(float(flop.min()) for flop in self.flop.values())

    @property
    def overlap(self) -> bool:
        """Whether the runs of the two overlap in compute."""
        return self.smallest_flop <= self.largest_flop


def recipes(fit: xr.DataTree, *, of: str, over: str, experts: int | None = None) -> Recipes:
    """Read the runs of two groups of a fit.

    Parameters
    ----------
    fit : DataTree
        A grouped fit of one law or of several averaged.
    of, over : str
        Names of B and A.
    experts : int, optional
        Expert count to compare at; that of the architecture of which both groups have most runs where left out.

    Raises
    ------
    InputError
        The fit predicts no loss or has no two groups, a name is none of its groups, both are the same, or the runs say no compute.
    """
    info, member = FitInfo.read(fit), heaviest(fit)
    if info.response != "loss":
        hint = "fit a law of the loss, such as yun, to compare groups of runs"
        raise InputError("a speedup compares losses, and this fit predicts another response", value=info.response, hint=hint)
    _require_groups(member, of, over)
    runs = _runs(member)
    dense = info.spec.groups.dense if info.spec.groups is not None else None
    tables = {name: runs[runs["group_of_run"] == name] for name in (over, of)}
    keys = {name: list(zip(*(table[column] for column in _SHAPE), strict=True)) for name, table in tables.items()}
    chosen = _architectures(keys, experts, dense)
    alike = {name: table[[key == chosen[name] for key in keys[name]]] for name, table in tables.items()}
    shared = len(set(chosen.values())) == 1
    used = {name: pd.concat(list(alike.values())) if shared else alike[name] for name in alike}
    both = pd.concat(list(tables.values()))
    ln_ratio = np.log(both["tokens"] / both["n_active"])
    return Recipes(
        of=of,
        over=over,
        growth={name: _growth(table) for name, table in used.items()},
        num_experts={name: float(key[0]) for name, key in chosen.items()},
        shared=shared,
        flop={name: train_flop(table["n_active"], table["tokens"]).to_numpy() for name, table in tables.items()},
        ln_tokens=float(np.log(both["tokens"]).mean()),
        ln_active=float(np.log(both["n_active"]).mean()),
        ln_ratio=(float(ln_ratio.min() - np.log(_RATIO_BEYOND)), float(ln_ratio.max() + np.log(_RATIO_BEYOND))),
    )


def _require_groups(member: xr.DataTree, of: str, over: str) -> None:
    posterior = member["posterior"].dataset
    known = [str(name) for name in posterior[GROUP_DIM].values] if GROUP_DIM in posterior.dims else []
    if not known:
        hint = "refit with --group-by COLUMN, the column that says which recipe a run is of"
        raise InputError("the fit has no groups to compare", column="--of", value=of, hint=hint)
    if len(known) == 1:
        hint = f"refit a table that holds runs of another recipe beside {known[0]!r}"
        raise InputError("the fit has one group only, and a speedup compares two", column="--of", value=of, hint=hint)
    for column, name in (("--of", of), ("--over", over)):
        if name not in known:
            raise InputError("is not a group of the fit", column=column, value=name, hint=nearest(name, known))
    if of == over:
        others = ", ".join(name for name in known if name != of)
        raise InputError("is the group that it is compared with", column="--of", value=of, hint=f"name another: {others}")


def _runs(member: xr.DataTree) -> pd.DataFrame:
    """Covariates of a fit's runs, completed where a table of dense models leaves columns out."""
    columns = member["constant_data"].dataset.data_vars
    frame = pd.DataFrame({str(name): column.to_numpy() for name, column in columns.items() if "run" in column.dims})
    if "n_active" not in frame:
        if "n_dense" not in frame:
            hint = "add n_active, the parameters that a token uses, and refit"
            raise InputError(
                "is needed to know the compute of runs, and the fit's table has none", column="n_active", hint=hint
            )
        frame["n_active"] = frame["n_dense"]
    if "tokens" not in frame:
        hint = "add the training tokens of each run, and refit"
        raise InputError("is needed to know the compute of runs, and the fit's table has none", column="tokens", hint=hint)
    return frame.assign(**{name: 1.0 for name in _SHAPE if name not in frame and name != "shared_experts"}).assign(
        shared_experts=frame.get("shared_experts", 0.0)
    )


def _architectures(
    keys: dict[str, list[tuple[float, ...]]], experts: int | None, dense: str | None
) -> dict[str, tuple[float, ...]]:
    """By group the architecture to compare: that of which both have most runs or, where they share none, that of most of its own."""
    counts = {name: Counter(key for key in own if experts in (None, key[0])) for name, own in keys.items()}
    for name, own in counts.items():
        if not own:
            trained = ", ".join(f"{count:g}" for count in sorted({key[0] for key in keys[name]}))
            hint = f"one of {trained}" + (f"; the runs of {dense!r} belong to both" if dense and experts == 1 else "")
            raise InputError(f"no run of {name!r} has that expert count", column="--experts", value=experts, hint=hint)
    over, of = counts.values()
    both = {key: (min(over[key], of[key]), over[key] + of[key], key) for key in over.keys() & of.keys()}
    if both:
        most = max(both, key=lambda key: both[key])
        return dict.fromkeys(counts, most)
    return {name: max(own, key=lambda key: (own[key], key)) for name, own in counts.items()}


def _growth(table: pd.DataFrame) -> Growth:
    """Sizes in proportion, depth and width along a line of their logarithms, everything else as it is."""
    ln_active = np.log(table["n_active"].to_numpy(float))
    intercept, exponent = {}, {}
    for name in table.select_dtypes("number"):
        values = table[name].to_numpy(float)
        if name in ("n_active", "tokens", "train_flop") or (values < 0.0).any():
            continue
        if not (values > 0.0).all():
            # exp(-inf) is what no run of the architecture has any of, such as shared experts.
            intercept[str(name)], exponent[str(name)] = -np.inf, 0.0
            continue
        grows = name in _GROWING and np.ptp(ln_active) > 0.0
        slope = float(np.polyfit(ln_active, np.log(values), 1)[0]) if grows else float(name in SIZES)
        intercept[str(name)], exponent[str(name)] = float((np.log(values) - slope * ln_active).mean()), slope
    return Growth(intercept, exponent)
