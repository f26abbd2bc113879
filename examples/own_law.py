"""A law of your own, fitted and compared with one that comes with bayesmoe.

``python examples/own_law.py --out DIR`` writes ``DIR/own.nc`` and ``DIR/chinchilla.nc``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import bayesmoe as bm
from bayesmoe.laws.base import Size
from bayesmoe.laws.coordinates import LOSS_REFERENCE, SLOPE_SIZE, SLOPE_TOKENS


@dataclass(frozen=True)
class ThreeSlopes(bm.Law):
    """``L = A N_a^-a N^-b D^-g``: straight in the logarithms of active parameters, all parameters and tokens; L in nats per token."""

    size: Size = "n_active"
    name = "three-slopes"
    source = "an example"
    equation = "L = A N_a^-a N^-b D^-g"
    other_covariates = ("n_total", "tokens")
    symbols: ClassVar[dict[str, str]] = {"A": "nats/token parameters^(a+b) tokens^g", "a": "1", "b": "1", "g": "1"}
    total = bm.Coordinate("slope_total", "positive", -3.5, 0.7, 0.2, "experts", "1", "fall of ln loss per e-fold of n_total")
    coordinates = (LOSS_REFERENCE, SLOPE_SIZE, total, SLOPE_TOKENS)

    def loss(self, parameters, run):
        p = parameters
        return p["A"] * run[self.size] ** -p["a"] * run["n_total"] ** -p["b"] * run["tokens"] ** -p["g"]

    def to_paper(self, coordinates, reference):
        slopes = {"a": coordinates["slope_size"], "b": coordinates["slope_total"], "g": coordinates["slope_tokens"]}
        return {"A": coordinates["loss_reference"] / self.loss({"A": 1.0, **slopes}, reference.run), **slopes}


LAWS = {"own": bm.LawSpec(name="own_law:ThreeSlopes"), "chinchilla": bm.LawSpec(name="chinchilla", size="n_active")}


def main(out: Path) -> None:
    """Fit both and compare."""
    fits = {}
    for name, law in LAWS.items():
        fits[name] = bm.fit("simulated-yun-grid", law=law, sampler={"warmup": 800, "draws": 500, "seed": 1})
        bm.save_fit(fits[name], out / f"{name}.nc")
        print(f"{name}: gate {bm.check(fits[name]).verdict}")
    print(bm.compare(fits)[["law", "elpd", "elpd_diff", "dse", "weight"]].round(2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
