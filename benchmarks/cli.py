"""The commands after a fit, from the start of the process to its end: with an empty cache of programs, and again.

``plan``, ``next-run``, ``sensitivity`` and ``report`` of the demo's runs, fitted by one law and by an average of five, for the shipped scenario as it is
and with latency targets on at most 32 GPUs; and ``plan`` with 512 GPUs. ``python -m benchmarks.cli``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import process_cost

MODELS = Path(__file__).parents[1] / "models"
LAWS = ("yun", "effective-size", "ludziejewski", "wang", "flame")
FITS = {"one law": (), "average of five": tuple(part for law in LAWS for part in ("--law", law))}
TARGETS = {
    "as shipped": "",
    "latency": "max_tpot_s = 0.05\nmax_ttft_s = 2.0\nmax_gpus = 32\n",
    "512 GPUs": "max_gpus = 512\n",
}
VERBS = ("plan", "next-run", "sensitivity", "report")


def scenario(folder: Path, targets: str) -> Path:
    """The shipped scenario with these lines in its serving section."""
    shipped = (MODELS / "scenarios" / "yun-2024.toml").read_text(encoding="utf-8")
    named = {line.partition("=")[0].strip() for line in targets.splitlines()}
    lines = [line for line in shipped.splitlines() if line.partition("=")[0].strip() not in named]
    at = lines.index("[serving]") + 1
    path = folder / "scenario.toml"
    path.write_text("\n".join([*lines[:at], *targets.splitlines(), *lines[at:]]), encoding="utf-8")
    return path


def commands(folder: Path, asked: Path) -> dict[str, list[str]]:
    """What is run, by verb, in an order in which each finds what it reads."""
    fit, plan = str(folder / "fit.nc"), str(folder / "plan.nc")
    given = {
        "plan": ("plan", fit, str(asked), "--out", plan),
        "next-run": ("next-run", fit, str(asked)),
        "sensitivity": ("sensitivity", fit, str(asked)),
        "report": ("report", fit, plan, "--out", str(folder / "report.html")),
    }
    return {verb: [sys.executable, "-m", "bayesmoe", *words] for verb, words in given.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verbs", nargs="*", choices=VERBS, default=list(VERBS))
    given = parser.parse_args()
    print(f"{'fit':16} {'scenario':11} {'command':12} cold s  warm s  peak GB")
    for fit, laws in FITS.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            spec = str(MODELS / "simulated-yun-grid.toml")
            how = [sys.executable, "-m", "bayesmoe", "fit", spec, *laws, "--out", str(folder / "fit.nc")]
            subprocess.run(how, check=True, capture_output=True)
            for name, targets in TARGETS.items():
                asked = scenario(folder, targets)
                for verb, command in commands(folder, asked).items():
                    if verb not in {*given.verbs, "plan"} or (name == "512 GPUs" and verb != "plan"):
                        continue
                    with tempfile.TemporaryDirectory() as cache:
                        cold, warm = (process_cost(command, {"XDG_CACHE_HOME": cache}) for _ in range(2))
                    print(
                        f"{fit:16} {name:11} {verb:12} {cold.seconds:6.1f}  {warm.seconds:6.1f}  {warm.peak_gb:6.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
