"""Write ``models/priors/shared_discrepancy.toml``: which share of a law's discrepancy groups of runs have in common.

``python docs/make_shared_discrepancy.py FOLDER``; FOLDER holds the tidy tables (see the data cards). Two laws are fitted to the smaller runs of every public
table with groups, by group, and forecast the larger ones. What each lab says by itself, and all but it, is printed; misses are kept in
``build/backtests``.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from make_backtests import BY_GROUP, CLARK, HoldOut, kept, table_of
from make_discrepancy import beyond

ROOT = Path(__file__).parents[1]
OUT = ROOT / "models" / "priors" / "shared_discrepancy.toml"

DENSE, MOE = ("chinchilla", "kaplan"), ("yun", "clark")
USED = "main_grid == 1 and suspect == 0"
DECAYED = "decayed == 1 and undertrained == 0"

GROUPED = {
    "deepmind": (
        (MOE, HoldOut("shared, clark 10x", "clark2022_final", beyond(10), USED, CLARK)),
        (MOE, HoldOut("shared, clark N >= 370M", "clark2022_final", "n_dense > 3e8", USED, CLARK)),
    ),
    "porian": tuple(
        (DENSE, HoldOut(f"shared, porian {times}x", "porian", held, DECAYED, BY_GROUP))
        for times, held in ((16, "train_flop > 3e18"), (64, "train_flop > 5e17"))
    ),
    "kempner": (
        (DENSE, HoldOut("shared, kempner's targets", "kempner_l2l", "target == 1", None, BY_GROUP)),
        (DENSE, HoldOut("shared, kempner 100x", "kempner_l2l", beyond(100), None, BY_GROUP)),
    ),
    "ai2": (
        (MOE, HoldOut("shared, olmoe3 10x", "olmoe3_tuned", beyond(10), None, BY_GROUP)),
        (MOE, HoldOut("shared, olmoe3 1.2B", "olmoe3_tuned", "n_active > 8e8", None, BY_GROUP)),
    ),
}
"""By lab: laws and hold-outs of tables with groups."""


def missed(folder: Path, law: str, hold_out: HoldOut) -> Any:
    """A law's forecast of the larger runs of all groups together, kept; and which table that is."""
    import pandas as pd

    from bayesmoe.forecasting.forward_validation import distance_axes
    from bayesmoe.forecasting.weights import size_of
    from bayesmoe.inference.refits import Refits, with_law
    from bayesmoe.inference.shared_discrepancy import LearnedFrom

    def made() -> Any:
        spec, table = table_of(folder, hold_out)
        every: Any = pd.read_csv(folder / f"{hold_out.file}.csv")
        every = every.query(hold_out.select) if hold_out.select else every
        held = set(every.loc[every.eval(hold_out.held), "run_id"])
        size = size_of(spec, table.frame)
        refits = Refits(with_law(spec, law, size), table)
        asked = refits.frame["run_id"].isin(held).to_numpy()
        found = refits.fit(~asked, axes=distance_axes(refits.frame, size)).isel(run=asked)
        return found, LearnedFrom(lab="", table=hold_out.file, sha256=table.sha256, runs=len(table.frame))

    return kept(f"{hold_out.name} {law}", made)


def main() -> None:
    """Learn, say what each lab says and how bands without it would have done, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    from bayesmoe.cli.runtime import configure
    from bayesmoe.files import write_text
    from bayesmoe.forecasting.shared_discrepancy import learned_share, log_densities_of_shares
    from bayesmoe.specs import to_toml

    configure()
    forecasts: dict[str, list[Any]] = {}
    tables = []
    for lab, asked in GROUPED.items():
        for laws, hold_out in asked:
            for law in laws:
                forecast, table = missed(folder, law, hold_out)
                tables.append(dataclasses.replace(table, lab=lab))
                forecasts.setdefault(lab, []).append(forecast)
                print(hold_out.name, law, f"R-hat {float(forecast['rhat']):.2f}", flush=True)
    by_lab = {lab: [log_densities_of_shares(one) for one in each] for lab, each in forecasts.items()}
    for lab in by_lab:
        others = {name: each for name, each in by_lab.items() if name != lab}
        print(f"{lab} alone: {said({lab: by_lab[lab]})}; without {lab}: {said(others)}", flush=True)
        print(f"  pairs of groups in their 90% band: {covered(forecasts[lab], learned_share(others))}", flush=True)
    print(f"another lab: {said(by_lab)}")
    write_text(OUT, to_toml(learned_share(by_lab, tables)))


def covered(forecasts: list[Any], share: Any) -> str:
    """Share of pairs in their band by prior of what is shared: as the other labs teach, nothing, and everything."""
    from bayesmoe.forecasting.shared_discrepancy import differences_in_band

    found = {}
    for name, prior in {"as others teach": share, "nothing shared": 0.0, "all shared": 1.0}.items():
        each = np.concatenate([differences_in_band(one, prior) for one in forecasts])
        found[name] = f"{name} {each.mean():.0%}"
    return ", ".join(found.values()) + f" of {len(each)}"


def said(by_lab: dict[str, list[np.ndarray]]) -> str:
    """Mean and 90% band of the share that another lab would have."""
    from bayesmoe.forecasting.shared_discrepancy import SHARES, shares_of_another_lab

    weight = shares_of_another_lab(by_lab)
    low, high = (float(np.interp(level, weight.cumsum(), SHARES)) for level in (0.05, 0.95))
    return f"mean {weight @ SHARES:.2f} (90% {low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
