"""Training: the same seed gives the same row, also after a kill, and the loss falls toward the entropy."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sweep.language import Language
from sweep.model import Model
from sweep.run import ONE_THREAD, rows_of
from sweep.train import CALL_TOKENS, Run, learning_rates, train

pytestmark = pytest.mark.slow

MODEL = Model(12, 1, num_experts=4)
RUN = Run(MODEL, 4 * CALL_TOKENS, 0.01)
ROOT = Path(__file__).parents[2]
TIMES = ("wall_s", "cpu_s")


def results(row: dict) -> dict:
    """A row without its times."""
    return {name: value for name, value in row.items() if name not in TIMES}


@pytest.fixture(scope="module")
def language() -> Language:
    """The language of the runs."""
    return Language()


@pytest.fixture(scope="module")
def row(language: Language) -> dict:
    """A run's row."""
    return train(RUN, language)


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    rates = learning_rates(dataclasses.replace(RUN, tokens=40 * CALL_TOKENS))
    assert rates.argmax() == len(rates) // 20 - 1
    assert rates.max() == pytest.approx(RUN.learning_rate)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_the_same_seed_gives_the_same_row(row: dict, language: Language) -> None:
    assert results(train(RUN, language)) == results(row)


def test_another_seed_gives_another_loss(row: dict, language: Language) -> None:
    assert train(dataclasses.replace(RUN, seed=1), language)["loss"] != row["loss"]


def test_a_run_that_was_left_goes_on_to_the_same_row(row: dict, language: Language, tmp_path: Path) -> None:
    checkpoint = tmp_path / "left.npz"
    assert train(RUN, language, checkpoint, stop_after=1) is None
    assert checkpoint.exists()
    assert train(RUN, language, checkpoint, stop_after=2) is None
    assert results(train(RUN, language, checkpoint)) == results(row)
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_run_is_seen_in_the_row(row: dict, language: Language, tmp_path: Path) -> None:
    checkpoint = tmp_path / "other.npz"
    train(dataclasses.replace(RUN, seed=1), language, checkpoint, stop_after=2)
    assert results(train(RUN, language, checkpoint)) != results(row)


def test_the_loss_falls_and_stays_above_the_entropy(row: dict, language: Language) -> None:
    longer = train(dataclasses.replace(RUN, tokens=16 * CALL_TOKENS), language)
    assert np.log(language.vocabulary) > row["loss"] > longer["loss"] > language.entropy()


def test_a_killed_sweep_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; import sys\n"
        "from sweep.model import Model; from sweep.run import train_all; from sweep.train import CALL_TOKENS, Run\n"
        "import sweep.train\n"
        "if __name__ == '__main__':\n"
        "    runs = [Run(Model(12, 1), n * CALL_TOKENS, 0.01) for n in (2, 3, 40)]\n"
        "    train_all(runs, Path(sys.argv[1]), processes=1, state=Path(sys.argv[2]))\n"
    )
    program = tmp_path / "program.py"
    program.write_text(script)
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}

    def started(name: str) -> subprocess.Popen:
        command = [sys.executable, str(program), str(tmp_path / f"{name}.jsonl"), str(tmp_path / name)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)

    whole = started("whole")
    assert whole.wait() == 0
    killed = started("killed")
    while not rows_of(tmp_path / "killed.jsonl"):
        assert killed.poll() is None
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    # What a kill in the middle of a line leaves behind.
    with (tmp_path / "killed.jsonl").open("a") as file:
        file.write('{"run_id": "d12-l1')
    assert len(rows_of(tmp_path / "killed.jsonl")) < 3
    assert started("killed").wait() == 0
    of_both = [
        {row["run_id"]: json.dumps(results(row)) for row in rows_of(tmp_path / f"{name}.jsonl")}
        for name in ("whole", "killed")
    ]
    assert of_both[0] == of_both[1]
    assert len(of_both[0]) == 3
