"""Write bayesmoe/costs/serving/calibration.nc: the roofline calibrated on public measurements of serving engines.

``python datasets/make_serving_calibration.py FOLDER`` reads ``serving_silicon_derived.csv`` from FOLDER (see the data cards: TTFT and TPOT
of InferenceX and NVIDIA runs, ai-dynamo/aiconfigurator @ 095f58a5, Apache-2.0). Flagged rows are left out. InferenceX draws lengths
between 0.8 and 1.0 of the nominal ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from bayesmoe.costs.serving_measurements import Points, read_points


def public_points(folder: Path) -> Points:
    """The public points, with real over nominal lengths."""
    file = folder / "serving_silicon_derived.csv"
    frame = pd.read_csv(file)
    frame["length_share"] = np.where(frame["run_family"] == "inferencex", 0.9, 1.0)
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / file.name
        frame.to_csv(written, index=False)
        found = read_points(written)
    # The checksum that the calibration carries is that of the file that others can have.
    return dataclasses.replace(found, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def main() -> None:
    """Calibrate and write."""
    import jax

    from bayesmoe.costs.serving.calibration import KIND
    from bayesmoe.costs.serving.fit_calibration import calibrate_serving

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    found = calibrate_serving(public_points(given.folder), draws=1000, warmup=1000, chains=2)
    found.attrs["source"] = (
        "ai-dynamo/aiconfigurator @ 095f58a5, systems/silicon_sample.csv (Apache-2.0), flagged rows left out"
    )
    KIND.save(KIND.shipped, found)
    print({key: found.attrs[key] for key in ("points", "rhat", "divergences")})


if __name__ == "__main__":
    main()
