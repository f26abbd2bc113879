"""Every example runs as it stands, in a folder of its own, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
WRITES = {
    "fit_a_posterior": {"fit.nc"},
    "arviz_diagnostics": {
        f"{plot}.png" for plot in ("trace", "rank", "pair", "forest", "ppc", "loo_pit", "energy", "psense")
    },
    "plan": {"plan.nc", "plan.json", "report.html"},
    "own_law": {"own.nc", "chinchilla.nc"},
    "own_serving_table": {"latency.csv", "scenario.toml", "plan.nc"},
    "cluster_calibration": {"ranks.nc"},
}
SECONDS = 300


def test_every_example_is_run_and_told() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(WRITES)
    told = (EXAMPLES / "README.md").read_text()
    assert all(f"| `{name}.py` |" in told for name in WRITES)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WRITES))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    # A proxy that refuses every connection: nothing may need the network.
    environment = {
        **os.environ,
        "MPLBACKEND": "Agg",
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    environment.pop("BAYESMOE_DATA_DIR", None)
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--out", "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    assert WRITES[name] <= {path.name for path in (tmp_path / "out").iterdir()}
    assert not list((tmp_path / "out").glob("*.partial.jsonl"))
