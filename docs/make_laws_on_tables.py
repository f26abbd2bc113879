"""Write ``docs/laws-on-tables.md``: every law fitted to every table of runs that has its covariates.

``python docs/make_laws_on_tables.py FOLDER`` reads the tidy tables from FOLDER (see the data cards for what they are). Two fits
run at a time; finished rows are kept in ``build/laws-on-tables.jsonl``, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "laws-on-tables.md"
KEPT = ROOT / "build" / "laws-on-tables.jsonl"


@dataclass(frozen=True)
class Table:
    """A table, the rows its data card says to use, and how its runs are grouped."""

    file: str
    select: str | None = None
    groups: dict[str, Any] = field(default_factory=dict)
    intercepts_only: bool = False


TABLES = (
    Table("clark2022_final", "main_grid == 1 and suspect == 0", {"column": "group", "dense": "Dense"}),
    Table("olmoe3_tuned", None, {"column": "group"}, intercepts_only=True),
    Table("olmoe3_full", None, {"column": "group"}, intercepts_only=True),
    Table("steplaw_moe_tuned"),
    Table("steplaw_moe_full"),
    Table("steplaw_dense_tuned"),
    Table("flame_moe_isoflop", "few_steps == 0"),
    Table("dense_chinchilla_epoch", "outlier == 0"),
    Table("papers_moe_tables"),
)


def fitted(task: tuple[str, Table, str]) -> dict[str, Any]:
    """One row: the law fitted to the table, or what the table lacks."""
    import arviz_stats
    import jax
    import numpy as np

    from bayesmoe.criticism.gate import check
    from bayesmoe.criticism.predictive import headline_names, predictive_check, prior_overlap
    from bayesmoe.errors import InputError
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.priors import coordinates_of
    from bayesmoe.inference.spec import FitSpec, law_of, load_table
    from bayesmoe.laws import require_covariates
    from bayesmoe.specs import from_mapping

    folder, table, name = task
    jax.config.update("jax_enable_x64", True)
    row: dict[str, Any] = {"table": table.file, "law": name}
    section: dict[str, Any] = {
        "data": {"file": str(Path(folder) / f"{table.file}.csv"), "select": table.select},
        "name": name,
    }
    # PSIS-LOO needs them, however many draws a fit that was made again has.
    section["sampler"] = {"pointwise": "always"}
    section["law"] = {"name": name}
    section["groups"] = dict(table.groups) or None
    spec = from_mapping(section, FitSpec)
    law = law_of(spec.law)
    try:
        runs = load_table(spec.data, spec.groups, law.response)
        if (
            law.size == "n_dense"
            and law.size in law.covariates
            and ("n_dense" not in runs.frame or runs.frame["n_dense"].isna().any())
        ):
            section["law"]["size"] = "n_active"
            law = law_of(from_mapping(section, FitSpec).law)
        require_covariates(runs.frame, law)
    except InputError as error:
        return {**row, "lacks": error.column}
    if table.intercepts_only:
        section["groups"]["shared"] = [c.name for c in coordinates_of(law, {}) if c.name != "loss_reference"]
    started = time.perf_counter()
    tree = fit_spec(from_mapping(section, FitSpec), table=runs)
    seconds = time.perf_counter() - started
    gate = check(tree)
    loo = arviz_stats.loo(tree)
    coordinates = {c.name for c in law.coordinates}
    overlap = {name.removesuffix("_population"): value for name, value in prior_overlap(tree, headline_names(tree)).items()}
    overlap = {name: value for name, value in overlap.items() if name in coordinates}
    return {
        **row,
        "size": law.size if law.size in law.covariates else "",
        "runs": tree["observed_data"].sizes["run"],
        "verdict": gate.verdict,
        "why": [f"{found.name} {found.value:.3g}" for found in gate.checks if found.verdict != "PASS"],
        "unidentified": sorted(name for name, value in overlap.items() if value > 0.8),
        "residual_sd": float(np.std(predictive_check(tree)["residual"])),
        "elpd_loo": float(loo.elpd),
        "elpd_loo_se": float(loo.se),
        "bad_k": int((np.asarray(loo.pareto_k) > 0.7).sum()),
        "seconds": seconds,
    }


def written(rows: list[dict[str, Any]], folder: Path) -> str:
    """The page."""
    from bayesmoe.units import significant

    fits = [row for row in rows if "verdict" in row]
    counts = {verdict: sum(row["verdict"] == verdict for row in fits) for verdict in ("PASS", "REVIEW", "FAIL")}
    lines = [
        "# Every law on every table",
        "",
        f"Made by `python docs/make_laws_on_tables.py {folder.name}`: {len(fits)} fits with default priors and sampler "
        f"({', '.join(f'{number} {verdict}' for verdict, number in counts.items())}), two at a time on one machine. Nothing here "
        "is tuned to a table. Laws that read a dense backbone read active parameters where a table has none.",
        "",
        "- **gate**: worst check and why; `prior overlap` means that some coordinate was left to its prior.",
        "- **prior only**: coordinates whose posterior overlaps the prior by more than 0.8. Their bands are the prior's.",
        "- **residual sd**: of observed over median predicted loss.",
        "- **elpd**: PSIS-LOO expected log predictive density (standard error), higher is better, comparable within one table only; "
        "**k > 0.7**: runs for which it cannot be trusted. LOO interpolates: it does not say which law extrapolates.",
        "- **s**: seconds of the fit, compilation included.",
        "",
    ]
    for table in TABLES:
        here = sorted((row for row in fits if row["table"] == table.file), key=lambda row: -row["elpd_loo"])
        if not here:
            continue
        grouped = "each group has its own loss level" if table.intercepts_only else "groups partially pooled"
        how = [f"`{table.select}`"] if table.select else []
        how += [f"{grouped}, by `{table.groups['column']}`"] if table.groups else []
        lines += [f"## {table.file}", "", f"{here[0]['runs']} runs" + (f" ({'; '.join(how)})" if how else "") + ".", ""]
        lines += [
            "| law | size | gate | prior only | residual sd | elpd | k > 0.7 | s |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in here:
            gate = row["verdict"] + (f": {', '.join(row['why'])}" if row["why"] else "")
            lines.append(
                f"| {row['law']} | {row['size']} | {gate} | {', '.join(row['unidentified']) or '–'} | "
                f"{100 * row['residual_sd']:.2f}% | {row['elpd_loo']:.1f} ({row['elpd_loo_se']:.1f}) | {row['bad_k']} | "
                f"{significant(row['seconds'], 2)} |"
            )
        lacking: dict[str, list[str]] = {}
        for row in rows:
            if row["table"] == table.file and "lacks" in row:
                lacking.setdefault(row["lacks"], []).append(row["law"])
        lines += [""] + [f"Not fitted for want of `{column}`: {', '.join(laws)}." for column, laws in lacking.items()] + [""]
    return "\n".join(lines)


def main() -> None:
    """Fit what is missing, then write the page."""
    from bayesmoe.files import write_text
    from bayesmoe.laws import all_laws

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    folder, jobs = (given := parser.parse_args()).folder, given.jobs
    KEPT.parent.mkdir(exist_ok=True)
    rows = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    done = {(row["table"], row["law"]) for row in rows}
    todo = [(table, law.name) for table in TABLES for law in all_laws if (table.file, law.name) not in done]
    context = multiprocessing.get_context("spawn")
    # A fresh worker every few fits: compiled programs are never freed.
    with context.Pool(jobs, maxtasksperchild=12) as pool, KEPT.open("a") as kept:
        for row in pool.imap_unordered(fitted, [(str(folder), table, name) for table, name in todo]):
            rows.append(row)
            print(json.dumps(row), file=kept, flush=True)
            print(f"{len(rows)}/{len(TABLES) * len(all_laws)} {row['table']} {row['law']}", file=sys.stderr)
    write_text(OUT, written(rows, folder))


if __name__ == "__main__":
    main()
