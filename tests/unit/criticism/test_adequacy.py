"""What the gate asks of residuals and of the design: planted faults are seen, and tables without any pass as often as stated."""

from __future__ import annotations

import adversarial
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_up import write_info
from scipy import stats
from seeds import seeded

from bayesmoe.criticism.adequacy import NOISE, STRUCTURE, adequacy
from bayesmoe.fitting import fit
from bayesmoe.inference.spec import DataSpec, FitSpec, LawSpec
from bayesmoe.sampling.settings import SamplerSpec


def described(frame: pd.DataFrame, predicted=None, noise=adversarial.NOISE) -> xr.DataTree:
    """A fit of Yun's law that predicts these losses, those of the truth where none are given, with noise."""
    if predicted is None:
        predicted = adversarial.losses(*(frame[name].to_numpy() for name in ("n_dense", "tokens", "num_experts")))
    # Evenly spaced quantiles in place of draws: nothing here depends on a seed but the table.
    quantile = stats.norm.ppf((np.arange(50) + 0.5) / 50)
    predictive = predicted * np.exp(noise * quantile[:, None])
    of_runs = {name: ("run", frame[name].to_numpy()) for name in frame if name not in ("loss", "run_id")}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"noise_scale": (("chain", "draw"), np.full((1, 50), noise))}),
            "posterior_predictive": xr.Dataset({"loss": (("chain", "draw", "run"), predictive[None])}),
            "observed_data": xr.Dataset({"loss": ("run", frame["loss"].to_numpy())}),
            "constant_data": xr.Dataset(of_runs),
        }
    )
    write_info(tree, FitSpec(data=DataSpec(file="runs.csv"), law=LawSpec(name="yun")))
    return tree


def verdicts(tree: xr.DataTree) -> dict[str, tuple[str, str]]:
    """Verdict and place of each check."""
    return {check.name: (check.verdict, check.where) for check in adequacy(tree)}


def test_a_law_that_is_right_is_sent_to_review_in_one_table_of_a_hundred():
    tables = 100
    found = [verdicts(described(adversarial.sound(seed))) for seed in range(tables)]
    reviewed = sum(one[STRUCTURE][0] == "REVIEW" for one in found)
    # Stated: at most 1%. More than this many of 100 come by chance once in ten thousand.
    assert reviewed <= stats.binom.ppf(1 - 1e-4, tables, 0.01)
    assert all(one["levels"][0] == one["axis inflation"][0] == "PASS" for one in found)
    clumps = sum(one[NOISE][0] == "REVIEW" for one in found)
    assert clumps <= stats.binom.ppf(1 - 1e-4, tables, 0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_seen_where_it_is(seed):
    assert verdicts(described(adversarial.step(seed)))[STRUCTURE] == ("REVIEW", "n_dense x num_experts")


def test_a_setting_that_the_law_does_not_read_is_named():
    frame = adversarial.sound()
    corpus = np.where(np.random.default_rng(seeded(3)).random(len(frame)) < 0.5, "web", "books")
    shifted = frame.assign(loss=frame["loss"] * np.where(corpus == "web", 1.01, 1.0), corpus=corpus)
    assert verdicts(described(shifted, noise=0.006))[STRUCTURE] == ("REVIEW", "corpus")
    assert verdicts(described(frame.assign(corpus=corpus)))[STRUCTURE][0] == "PASS"


def test_two_tokenizers_show_as_noise_in_two_clumps():
    frame = adversarial.pooled_tokenizers()
    truth = adversarial.losses(*(frame[name].to_numpy() for name in ("n_dense", "tokens", "num_experts")))
    assert verdicts(described(frame, truth * np.sqrt(0.93), noise=0.036))[NOISE] == ("REVIEW", "residuals in two clumps")


def test_noise_is_compared_with_replicates():
    frame = adversarial.sound()
    twice = pd.concat([frame, frame.assign(loss=frame["loss"] * 1.001)], ignore_index=True)
    twice = twice.assign(seed=np.repeat([0.0, 1.0], len(frame)))
    assert verdicts(described(twice))[NOISE] == ("REVIEW", "replicates")
    honest = twice.assign(loss=np.concatenate([frame["loss"], frame["loss"] * np.exp(0.005)]))
    assert verdicts(described(honest))[NOISE][0] == "PASS"


def test_experts_that_follow_size_cannot_be_told_from_it():
    assert verdicts(described(adversarial.confounded()))["axis inflation"][0] == "REVIEW"
    assert verdicts(described(adversarial.sound()))["axis inflation"][0] == "PASS"


def test_two_levels_are_said_to_be_two():
    assert verdicts(described(adversarial.two_levels()))["levels"] == ("REVIEW", "num_experts")
    assert verdicts(described(adversarial.twenty()))["levels"] == ("REVIEW", "tokens")


REASONS = {
    adversarial.two_levels: "levels",
    adversarial.pooled_tokenizers: NOISE,
    adversarial.confounded: "axis inflation",
    adversarial.step: STRUCTURE,
    adversarial.multi_epoch: STRUCTURE,
    adversarial.twenty: "levels",
    adversarial.two_corpora: STRUCTURE,
}


@pytest.mark.slow
@pytest.mark.parametrize("made", [*REASONS, adversarial.sound, adversarial.space_filling], ids=lambda made: made.__name__)
def test_the_gate_says_what_is_wrong_with_a_table(made):
    found = {check.name: check.verdict for check in adequacy(fit(made(), law="yun", sampler=SamplerSpec(method="laplace")))}
    wrong = {name for name, verdict in found.items() if verdict != "PASS"}
    assert wrong >= {REASONS[made]} if made in REASONS else not wrong
