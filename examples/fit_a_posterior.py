"""Fit Yun's law to the simulated runs that come with bayesmoe, and read the posterior with xarray.

``python examples/fit_a_posterior.py --out DIR`` writes ``DIR/fit.nc``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import xarray as xr

import bayesmoe as bm
from bayesmoe.runs import read_models

MODELS = """run_id,n_dense,n_active,n_total,tokens,num_experts,top_k
dense,1e9,1e9,1e9,4e10,1,1
eight experts,1e9,1e9,3e9,4e10,8,1
"""


def fitted() -> xr.DataTree:
    """A fit that takes seconds; the other examples start from it."""
    return bm.fit("simulated-yun-grid", law="yun", sampler={"warmup": 800, "draws": 500, "seed": 1})


def main(out: Path) -> None:
    """Fit, ask the gate, and forecast two models."""
    posterior = fitted()
    bm.save_fit(posterior, out / "fit.nc")
    print(bm.check(posterior))

    # The paper's own parameters stand beside the coordinates that were sampled.
    parameters = posterior["posterior"].dataset[["alpha", "gamma", "F", "e_max"]]
    print(parameters.quantile([0.05, 0.5, 0.95], ("chain", "draw")).to_dataframe().round(3))

    (out / "models.csv").write_text(MODELS, encoding="utf-8")
    losses = bm.predict(posterior, read_models(out / "models.csv"))["loss"]
    print(losses.quantile([0.05, 0.5, 0.95], "sample").to_pandas().round(4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
