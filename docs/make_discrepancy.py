"""Write ``models/priors/discrepancy.toml``, the prior of discrepancy, from public tables: ``python docs/make_discrepancy.py FOLDER``.

FOLDER holds the tidy tables (see the data cards). The larger runs of each are forecast from the smaller; fits are kept in ``build/backtests``,
so that an interrupted run goes on. Of OLMoE 3 only the recipe with several expert counts is used: all ten take an hour.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from make_backtests import BY_GROUP, CLARK, HOLD_OUTS, HoldOut, forecasts_of_hold_out, kept, table_of

ROOT = Path(__file__).parents[1]
OUT = ROOT / "models" / "priors" / "discrepancy.toml"

A0 = "group == 'olmoe3-a0'"
ONE_EPOCH = "single_epoch == 1 and tokens > 1e9 and perhaps_undecayed == 0"
NAMED = {hold_out.name: hold_out for hold_out in HOLD_OUTS}


def beyond(times: float) -> str:
    """Runs of more compute than the largest run's over so many times."""
    return f"train_flop > train_flop.max() / {times:g}"


NEAR = {
    "deepmind": tuple(
        NAMED[name] for name in ("clark 1.3B", "clark N >= 370M", "clark E >= 256", "chinchilla, top decile of FLOP")
    ),
    "stepfun": (NAMED["steplaw dense, largest N"],),
    "flame": (NAMED["flame 3e19"],),
    "ai2": (
        HoldOut("olmoe3-a0 1.2B", "olmoe3_tuned", "n_active > 8e8", A0),
        HoldOut("olmoe3-a0 two largest token multiples", "olmoe3_tuned", "cx >= 4", A0),
        HoldOut("olmoe3-a0 192 experts", "olmoe3_tuned", "num_experts == 192", A0),
    ),
    "gemstones": (HoldOut("gemstones, largest size", "gemstones", "n_active >= n_active.quantile(0.85)", None),),
}
"""Hold-outs by lab: the largest sizes, counts, tokens or budgets of a table. Rows that a data card leaves out are left out here."""

FAR = {
    "deepmind": (
        *(
            HoldOut(f"chinchilla {times}x", "dense_chinchilla_epoch", beyond(times), "outlier == 0")
            for times in (10, 30, 100)
        ),
        HoldOut("clark 10x", "clark2022_final", beyond(10), "main_grid == 1 and suspect == 0", CLARK),
    ),
    "meta": tuple(HoldOut(f"llama3 {times}x", "llama3_isoflop", beyond(times)) for times in (10, 33, 333)),
    "porian": tuple(
        HoldOut(f"porian {times}x", "porian", held, "decayed == 1 and undertrained == 0", BY_GROUP)
        for times, held in ((16, "train_flop > 3e18"), (32, "train_flop > 1e18"), (64, "train_flop > 5e17"))
    ),
    "gemstones": tuple(HoldOut(f"gemstones {times}x", "gemstones", beyond(times), "suspect == 0") for times in (6, 25)),
    "muennighoff": (HoldOut("datablations 10x", "datablations", beyond(10), ONE_EPOCH),),
    "ai2": (HoldOut("olmoe3-a0 10x", "olmoe3_tuned", beyond(10), A0),),
    "kempner": (HoldOut("kempner's targets", "kempner_l2l", "target == 1", None, BY_GROUP),),
}
"""Far cuts by lab: all runs beyond a share of the largest compute, as the data cards name them or at round factors."""


def of_labs(*kinds: dict[str, tuple[HoldOut, ...]]) -> list[tuple[str, HoldOut]]:
    """Lab and hold-out, one after the other."""
    return [(lab, hold_out) for kind in kinds for lab, hold_outs in kind.items() for hold_out in hold_outs]


def misses(folder: Path, lab: str, hold_out: HoldOut) -> Any:
    """What laws missed beyond the smaller runs of a table, kept."""
    from bayesmoe.forecasting.calibrate_discrepancy import misses_of
    from bayesmoe.forecasting.discrepancy_prior import LearnedFrom

    def made() -> Any:
        _, table = table_of(folder, hold_out)
        origin = LearnedFrom(lab=lab, table=hold_out.file, sha256=table.sha256, runs=len(table.frame))
        return misses_of(forecasts_of_hold_out(folder, hold_out), origin)

    return kept(f"misses of {hold_out.name}", made)


def prior_without(folder: Path, lab: str | None) -> Any:
    """The prior that all labs but one teach; all of them for None."""
    from bayesmoe.forecasting.calibrate_discrepancy import learned_prior

    found = [misses(folder, name, hold_out) for name, hold_out in of_labs(NEAR, FAR) if name != lab]
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
