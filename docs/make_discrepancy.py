"""Write ``models/priors/discrepancy.toml``, the prior of discrepancy, from public tables: ``python docs/make_discrepancy.py FOLDER``.

FOLDER holds the tidy tables (see the data cards). What laws missed is kept in ``build/backtests``, so that an interrupted run goes on.
Of OLMoE 3 only the recipe with several expert counts is used: all ten take an hour.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from make_backtests import CLARK, HoldOut, kept

ROOT = Path(__file__).parents[1]
OUT = ROOT / "models" / "priors" / "discrepancy.toml"

TABLES = {
    "deepmind": (
        HoldOut("clark", "clark2022_final", "", "main_grid == 1 and suspect == 0", CLARK),
        HoldOut("chinchilla", "dense_chinchilla_epoch", "", "outlier == 0"),
    ),
    "ai2": (HoldOut("olmoe3-a0", "olmoe3_tuned", "", "group == 'olmoe3-a0'"),),
    "stepfun": (HoldOut("steplaw moe", "steplaw_moe_tuned", ""), HoldOut("steplaw dense", "steplaw_dense_tuned", "")),
    "flame": (HoldOut("flame", "flame_moe_isoflop", "", "few_steps == 0"),),
    "meta": (HoldOut("llama3", "llama3_isoflop", ""),),
    "porian": (HoldOut("porian", "porian", ""),),
    "gemstones": (HoldOut("gemstones", "gemstones", ""),),
    "kempner": (HoldOut("kempner", "kempner_l2l", ""),),
}
"""Public tables by lab: rows that a data card leaves out are left out here."""


def misses(folder: Path, lab: str, table: HoldOut) -> Any:
    """What laws missed inside a table, kept."""
    from bayesmoe.forecasting.calibrate_discrepancy import misses_of
    from bayesmoe.inference.spec import FitSpec, load_table
    from bayesmoe.specs import from_mapping

    data = {"file": str(folder / f"{table.file}.csv"), "select": table.select}
    spec = from_mapping({"name": table.name, "data": data, "groups": table.groups or None}, FitSpec)

    def made() -> Any:
        runs = load_table(spec.data, spec.groups)
        return misses_of(spec, runs, lab, on_progress=lambda line: print(f"{table.name}: {line}", file=sys.stderr))

    return kept(f"misses of {table.name}", made)


def prior_without(folder: Path, lab: str | None) -> Any:
    """The prior that all labs but one teach; all of them for None."""
    from bayesmoe.forecasting.calibrate_discrepancy import learned_prior

    found = [misses(folder, name, table) for name, tables in TABLES.items() if name != lab for table in tables]
    return kept(f"prior without {lab}", lambda: learned_prior(found))


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    from bayesmoe.cli.runtime import configure
    from bayesmoe.files import write_text
    from bayesmoe.specs import to_toml

    configure()
    write_text(OUT, to_toml(prior_without(folder, None)))


if __name__ == "__main__":
    main()
