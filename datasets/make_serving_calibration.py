"""Write bayesmoe/costs/serving/calibration.nc: the roofline calibrated on public measurements of serving engines.

``python datasets/make_serving_calibration.py FOLDER`` reads from FOLDER (see the data cards; all Apache-2.0) ``serving_silicon_derived.csv``, TTFT
and TPOT of InferenceX and NVIDIA runs (ai-dynamo/aiconfigurator @ 095f58a5); ``serving_saturated.csv`` and the rows of
``serving_measurements.csv`` from NVIDIA's performance overviews, throughput of saturated engines (NVIDIA/TensorRT-LLM @ 03e27c7d and older).
Flagged rows are left out. InferenceX draws lengths between 0.8 and 1.0 of the nominal ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from bayesmoe.architecture import public_models
from bayesmoe.costs.hardware import ACCELERATORS
from bayesmoe.costs.serving_measurements import Points, read_points

FILES = ("serving_silicon_derived.csv", "serving_saturated.csv", "serving_measurements.csv")

SATURATED_COLUMNS = {"accelerator": "hardware", "prompt_tokens": "isl_tokens", "output_tokens": "osl_tokens"}
"""What the table of saturated engines calls its columns."""


def public_points(folder: Path) -> Points:
    """The public points, with real over nominal lengths: at a load, and of saturated engines."""
    loaded, saturated, older = (pd.read_csv(folder / name) for name in FILES)
    loaded["length_share"] = np.where(loaded["run_family"] == "inferencex", 0.9, 1.0)
    saturated = saturated.rename(columns=SATURATED_COLUMNS).assign(engine="TensorRT-LLM", reference="2026")
    saturated["attention_data_parallel"] = np.where(saturated["attention_parallelism"] == "data", saturated["n_gpus"], 1)
    older = older[older["row_id"].str.startswith("trtllm") & older["scenario"].str.contains("offline")]
    older = older[older["architecture"].isin(list(public_models())) & older["hardware"].isin(list(ACCELERATORS))]
    older = older.assign(reference="TensorRT-LLM " + older["engine_version"].astype(str), concurrency_requests=np.nan)
    # The document's recipe for MoEs of its version 1.0.
    data = (older["is_moe"] == 1) & (older["engine_version"].astype(str) == "1.0")
    older["attention_data_parallel"] = np.where(data, older["n_gpus"], 1)
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "public_serving.csv"
        pd.concat([loaded, saturated, older], ignore_index=True).to_csv(written, index=False)
        found = read_points(written)
    # The checksum that the calibration carries is that of the files that others can have.
    raw = b"".join((folder / name).read_bytes() for name in FILES)
    return dataclasses.replace(found, sha256=hashlib.sha256(raw).hexdigest())


def main() -> None:
    """Calibrate and write."""
    import jax

    from bayesmoe.costs.serving.calibration import KIND
    from bayesmoe.costs.serving.fit_calibration import calibrate_serving

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    found = calibrate_serving(public_points(given.folder), draws=3000, warmup=1500, chains=2)
    attrs, found = found.attrs, found.isel(draw=slice(None, None, 4))
    found.attrs = attrs
    found.attrs["source"] = (
        "ai-dynamo/aiconfigurator @ 095f58a5, systems/silicon_sample.csv, flagged rows left out; NVIDIA/TensorRT-LLM, performance "
        "overviews of v0.17, v1.0 and @ 03e27c7d (all Apache-2.0)"
    )
    KIND.save(KIND.shipped, found)
    print({key: found.attrs[key] for key in ("points", "rhat", "divergences")})


if __name__ == "__main__":
    main()
