"""Are the bands right when the law is? Refits of simulated tables on a dask cluster.

``python examples/cluster_calibration.py --out DIR`` writes ``DIR/ranks.nc``. The cluster is two processes of this machine; give
``finished_blocks`` the address of your own scheduler, whose workers have bayesmoe installed. ``bayesmoe calibrate`` does the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import xarray as xr
from distributed import LocalCluster

from bayesmoe.cli.calibrate import ranks_in_worker
from bayesmoe.criticism.cluster import finished_blocks
from bayesmoe.criticism.sbc import calibration
from bayesmoe.files import write_netcdf
from bayesmoe.inference.spec import FitSpec, load_table
from bayesmoe.specs import from_mapping

SPEC = {
    "name": "calibration",
    "data": {"source": "simulated-yun-grid"},
    "law": {"name": "kaplan", "size": "n_dense"},
    "sampler": {"seed": 1},
}


def main(out: Path) -> None:
    """Simulate, refit, and test the ranks of the truth."""
    spec = from_mapping(SPEC, FitSpec)
    table = load_table(spec.data, spec.groups)
    # Too few to find more than a gross error; two hundred are usual.
    blocks = [list(range(first, first + 5)) for first in range(0, 20, 5)]
    kept = out / "ranks.partial.jsonl"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        done = finished_blocks(
            ranks_in_worker, blocks, (spec, table), kept=kept, scheduler=cluster.scheduler_address, on_progress=print
        )
    ranks = xr.concat([xr.Dataset.from_dict(block) for block in done], "simulation").sortby("simulation")
    test = calibration(ranks)
    write_netcdf(out / "ranks.nc", ranks.merge(test))
    kept.unlink()
    print(test["p_value"].to_series().round(3).to_string())
    print(f"all parameters jointly: p = {float(test['joint_p_value']):.3g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
