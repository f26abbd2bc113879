"""ArviZ's own plots and statistics on a ``fit.nc``, as it lies on disk.

``python examples/arviz_diagnostics.py --out DIR`` writes one picture for each plot into ``DIR``. It fits first where there is no
``DIR/fit.nc``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import arviz as az
import matplotlib as mpl
from fit_a_posterior import fitted

import bayesmoe as bm

NAMES = ["loss_reference", "slope_size", "slope_tokens", "gain"]
"""What is sampled: numbers at a reference run. A law has more of them; ``az.summary`` lists all."""


def main(out: Path) -> None:
    """Draw."""
    mpl.use("Agg")
    if not (out / "fit.nc").exists():
        bm.save_fit(fitted(), out / "fit.nc")
    fit = az.from_netcdf(out / "fit.nc")

    plots = {
        "trace": az.plot_trace(fit, var_names=NAMES),
        "rank": az.plot_rank(fit, var_names=NAMES),
        "pair": az.plot_pair(fit, var_names=NAMES),
        "forest": az.plot_forest(fit, var_names=NAMES),
        "ppc": az.plot_ppc_dist(fit),
        "loo_pit": az.plot_loo_pit(fit),
        "energy": az.plot_energy(fit),
    }
    # ArviZ's own dimension of powers is called alpha, and so is a parameter of many papers.
    sampled = fit.map_over_datasets(lambda group: group.drop_vars("alpha", errors="ignore"))
    plots["psense"] = az.plot_psense_dist(sampled, var_names=NAMES)
    for name, plot in plots.items():
        plot.savefig(out / f"{name}.png")
        print(out / f"{name}.png")

    print(az.summary(fit, var_names=NAMES))
    print(az.loo(fit))
    print(az.psense_summary(fit, var_names=NAMES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
