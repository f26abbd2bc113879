"""Write ``posteriors.json``: the posterior of each shipped spec as NumPyro's own NUTS draws it.

``BAYESMOE_DATA_DIR=... python tests/golden/make_posteriors.py``
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("posteriors.json")
SPECS = ("clark2022-routers", "clark2022-routers-yun", "olmoe3-ladder", "simulated-yun-grid")


def moments(posterior: Any) -> dict[str, dict[str, Any]]:
    """Mean, sd and their Monte Carlo standard errors of each sampled or derived parameter, by name and then by its entries."""
    import arviz_stats
    import numpy as np

    dataset = posterior.to_dataset()
    errors = {kind: arviz_stats.mcse(dataset, method=kind) for kind in ("mean", "sd")}
    columns = {
        "mean": dataset.mean(("chain", "draw")),
        "sd": dataset.std(("chain", "draw"), ddof=1),
        "mcse_mean": errors["mean"],
        "mcse_sd": errors["sd"],
    }
    # A centered parameter of the paper may span decades, so six digits and not six decimals.
    rounded = {kind: {name: np.ravel(found[name].values) for name in dataset.data_vars} for kind, found in columns.items()}
    return {
        str(name): {kind: [float(f"{value:.6g}") for value in found[name]] for kind, found in rounded.items()}
        for name in dataset.data_vars
    }


def main() -> None:
    """Fit and write."""
    import jax

    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.resources import resource_folder

    jax.config.update("jax_enable_x64", True)
    found = {}
    for name in SPECS:
        spec = read_fit_spec(resource_folder("models") / f"{name}.toml")
        how = dataclasses.replace(spec.sampler, kernel="numpyro", warmup=1500, draws=1500, retries=0, seed=101)
        fitted = fit_spec(dataclasses.replace(spec, sampler=how))
        found[name] = moments(fitted["posterior"])
        print(name, "done", flush=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
