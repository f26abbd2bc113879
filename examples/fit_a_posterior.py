"""Fit Yun's law to the simulated runs that come with bayesmoe, and read the posterior with xarray.

``python examples/fit_a_posterior.py --out DIR`` writes ``DIR/fit.nc``.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import jax
import xarray as xr

from bayesmoe.criticism.gate import check
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.predict import predict
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.inference.store import save_fit
from bayesmoe.resources import resource_folder
from bayesmoe.runs import read_models

MODELS = """run_id,n_dense,n_active,n_total,tokens,num_experts,top_k
dense,1e9,1e9,1e9,4e10,1,1
eight experts,1e9,1e9,3e9,4e10,8,1
"""


def fitted() -> xr.DataTree:
    """A fit that takes seconds; the other examples start from it."""
    jax.config.update("jax_enable_x64", True)
    spec = read_fit_spec(resource_folder("models") / "simulated-yun-grid.toml")
    return fit_spec(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=800, draws=500, seed=1)))


def main(out: Path) -> None:
    """Fit, ask the gate, and forecast two models."""
    posterior = fitted()
    save_fit(posterior, out / "fit.nc")

    gate = check(posterior)
    print(f"gate {gate.verdict}")
    for found in gate.checks:
        if found.verdict != "PASS":
            print(f"  {found.name} {found.verdict}: {found.value:.4g} at {found.where}")

    # The paper's own parameters stand beside the coordinates that were sampled.
    parameters = posterior["posterior"].dataset[["alpha", "gamma", "F", "e_max"]]
    print(parameters.quantile([0.05, 0.5, 0.95], ("chain", "draw")).to_dataframe().round(3))

    (out / "models.csv").write_text(MODELS, encoding="utf-8")
    losses = predict(posterior, read_models(out / "models.csv"))["loss"]
    print(losses.quantile([0.05, 0.5, 0.95], "sample").to_pandas().round(4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
