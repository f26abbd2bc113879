"""Write ``docs/tutorial.md``: Clark's real runs, from fetching them to a report, with what every command prints.

``python docs/make_tutorial.py``; about ten minutes. The runs must have been fetched, or lie in ``BAYESMOE_DATA_DIR``.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "tutorial.md"
PICTURES = {"fit_to_runs": "tutorial-fit.png", "loss_by_experts": "tutorial-experts.png"}
DPI = 90

TEXT = """# Tutorial: Clark's real runs

Clark et al. 2022 (arXiv:2202.01169) trained language models with three routers, from 15 million to 1.3 billion backbone parameters and with
up to 512 experts, and published their losses. Here they stand for the runs of your own lab: from the table to a decision.

Made by `python docs/make_tutorial.py`, which runs every command below in a checkout and pastes what it prints. Seeds are fixed; another
machine may differ in the last digits.

## Fetch the runs

Public tables are registered with their source, license and checksum; none comes with the package.

@@ bayesmoe datasets show clark2022

@@ bayesmoe datasets fetch clark2022 --out clark.csv

The second line is a tidy copy, one row a run. Ask which of its columns are recognized, as you would of your own export:

@@ bayesmoe runs check clark.csv

## Fit a law

`models/clark2022-routers.toml` says it all: the main grid, three routers that share their dense runs, Clark's law.

```toml
{spec}
```

@@ bayesmoe fit models/clark2022-routers.toml --seed 0 --out clark.nc

`clark.nc` is netCDF that ArviZ reads. What the sampler drew are numbers at a reference run; the paper's own parameters stand beside them, one for
each router where routers differ:

>> import arviz as az
>>
>> fit = az.from_netcdf("clark.nc")
>> print(az.summary(fit, var_names=["loss_reference", "gain", "a", "b", "c", "e_start", "e_max"], kind="stats"))

![Observed and predicted losses](tutorial-fit.png)

The misses are small, but they bend with the loss, as noise would not.

## Read the gate

@@ bayesmoe check clark.nc

The chains agree and the runs have spoken, but what the law leaves is no noise: runs of one size and expert count lie to one side of it. A law
alone is surer than that allows; keep it in mind when you read its band. Yun's law reads tokens as well, and all of
Clark's runs saw the same number of them:

@@ bayesmoe fit models/clark2022-routers-yun.toml --seed 0 --out yun.nc

That is what REVIEW means here: the slope in tokens is the prior's, so any advice on over-training is too.

@@ bayesmoe compare clark.nc yun.nc

Yun's law fills the gaps between these runs much better. Whether it forecasts larger runs better is another question.

## Ask for a forecast that can be checked

Hold out the 1.3B runs, fit the others, and see who forecasts them:

@@ bayesmoe backtest models/clark2022-routers.toml --hold-out "n_dense > 1e9" --seed 0

Read the 90% column. Alone, each law's band holds fewer runs than it says, some of them none: bands of one law hold under that law only. The
average gives each law the weight that its forecasts from still smaller runs deserve, and a discrepancy that grows with distance.

## Plan on what forecasts best

@@ bayesmoe fit models/clark2022-routers.toml --law average --seed 0 --out average.nc

`models/scenarios/yun-2024.toml` is a budget, a fleet and prices to copy. For a fit of several groups, name the one to plan for:

@@ bayesmoe plan average.nc models/scenarios/yun-2024.toml --group S-Base --out plan.nc

![Loss by expert count](tutorial-experts.png)

Two answers: the recommended design is one model, best in expectation over all draws; below it, the optimum of each draw. All numbers on
tokens are the priors', as the gate said. So ask what to train next, before anyone decides:

@@ bayesmoe next-run average.nc models/scenarios/yun-2024.toml --group S-Base --batch 2 --start 2027-01-04

## Write it down

@@ bayesmoe report average.nc plan.nc --out report.html

One HTML page that needs nothing else: the answer, the gate, the runs, the assumptions. [How to](how-to/index.md) has a page for each step.
"""


def main() -> None:
    """Run and write."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "models").symlink_to(ROOT / "models")
        text = TEXT.replace("{spec}", (ROOT / "models" / "clark2022-routers.toml").read_text(encoding="utf-8").strip())
        text = re.sub(r"^@@ (.+)$", lambda found: command(found.group(1), place), text, flags=re.MULTILINE)
        text = re.sub(r"(?:^>>.*\n)+", lambda found: script(found.group(), place), text, flags=re.MULTILINE)
        draw(place)
    OUT.write_text(text, encoding="utf-8")


def command(line: str, place: Path) -> str:
    """A command and what it prints on standard output."""
    print(line, flush=True)
    printed = ran([sys.executable, "-m", *shlex.split(line)], place)
    return f"```console\n$ {line}\n{printed}\n```"


def script(lines: str, place: Path) -> str:
    """Some Python and what it prints."""
    code = re.sub(r"^>> ?", "", lines, flags=re.MULTILINE)
    return f"```python\n{code}```\n\n```text\n{ran([sys.executable, '-c', code], place)}\n```\n"


def ran(arguments: list[str], place: Path) -> str:
    """What a process prints, without places of this machine."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        arguments, cwd=place, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{shlex.join(arguments)}\n{ended.stdout}{ended.stderr}")
    printed = re.sub(r"\S*/(?=clark2022_curves)", "~/.cache/bayesmoe/datasets/", ended.stdout)
    if str(place) in printed or str(Path.home()) in printed:
        raise SystemExit(f"a place of this machine is in what {shlex.join(arguments)} prints:\n{printed}")
    return printed.rstrip()


def draw(place: Path) -> None:
    """The pictures, small."""
    import matplotlib as mpl

    mpl.use("Agg")
    import jax

    jax.config.update("jax_enable_x64", True)
    from bayesmoe.criticism.predictive import predictive_check
    from bayesmoe.decisions.risk import risk
    from bayesmoe.inference.store import load_fit
    from bayesmoe.planning.store import load_plan
    from bayesmoe.plots import fit_to_runs, loss_by_experts

    made = {
        "fit_to_runs": fit_to_runs(predictive_check(load_fit(place / "clark.nc"))),
        "loss_by_experts": loss_by_experts(risk(load_plan(place / "plan.nc"))),
    }
    for name, file in PICTURES.items():
        made[name].savefig(ROOT / "docs" / file, dpi=DPI, facecolor="white")


if __name__ == "__main__":
    main()
