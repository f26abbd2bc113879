"""Every suspicion on a sheet where it holds and on one where it does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bayesmoe.architecture import parameters_from_shape
from bayesmoe.runs.audit.checks import OF_RUNS
from bayesmoe.runs.audit.robust_trend import power_law_residuals
from bayesmoe.runs.checks import OF_VALUES
from bayesmoe.runs.finding import Finding, Sheet
from bayesmoe.runs.rows import OF_ROWS

SUSPICIONS = (*OF_ROWS, *OF_VALUES, *OF_RUNS)
checks = SimpleNamespace(**{suspect.__name__: suspect for suspect in SUSPICIONS})


def sheet(names: dict[str, str] | None = None, **columns) -> Sheet:
    """Runs numbered as the lines of a file are, in columns of ours."""
    frame = pd.DataFrame(columns)
    frame.index = range(2, len(frame) + 2)
    present = [(names or {}).get(name, name) for name in columns]
    return Sheet(frame, {name: (names or {}).get(name, name) for name in columns}, present)


def only(found: list[Finding]) -> tuple[str, tuple[int, ...]]:
    """Severity and rows of the one finding."""
    assert len(found) == 1
    return found[0].severity, found[0].rows


LOSSES = [2.5, 2.4, 2.3, 2.2]


@pytest.mark.parametrize(
    ("name", "holds", "expected", "not_there"),
    [
        ("unfinished", {"state": ["finished", "crashed", "RUNNING", None]}, ("wrong", (3, 4)), {"state": ["FINISHED"] * 3 + ["done"]}),
        ("diverged", {"diverged": [False, True, "no", "yes"]}, ("wrong", (3, 5)), {"diverged": [False, 0, "no", None]}),
        ("checkpoints", {"run_id": ["a", "a", "b", "c"], "tokens": [1e9, 2e9, 2e9, 2e9]}, ("wrong", (2,)), {"run_id": list("abcd"), "tokens": [1e9, 2e9, 2e9, 2e9]}),
        ("checkpoints", {"name": ["a", "a", "a", "b"], "tokens": [1e9, 3e9, 2e9, 2e9]}, ("look", (2, 4)), {"name": ["a", "a", "a", "b"], "tokens": [2e9] * 4}),
        ("checkpoints", {"name": ["a", "a", "a", "b"], "steps": [1, 3, 2, 2]}, ("look", (2, 4)), {"name": ["a", "a", "a", "b"], "steps": [1, 3, 2, 2], "num_experts": [1, 2, 4, 8]}),
        ("copies", {"run_id": ["a", "a", "b", "b"], "loss": [2.5, 2.5, 2.4, 2.3]}, ("wrong", (3,)), {"run_id": list("abcd"), "loss": LOSSES}),
        ("perplexity", {"loss": LOSSES, "own": "val_ppl"}, ("wrong", (2, 3, 4, 5)), {"loss": LOSSES, "own": "pplx_net_loss"}),
        ("perplexity", {"loss": list(np.exp(LOSSES)), "other": LOSSES}, ("wrong", (2, 3, 4, 5)), {"loss": LOSSES, "other": list(np.exp(LOSSES))}),
        ("perplexity", {"loss": [12.2, 2.4, 2.3, 24.0]}, ("look", (2,)), {"loss": [9.9, 2.4, 2.3, 2.2]}),
        ("bits_per_byte", {"loss": LOSSES, "own": "eval/bpb"}, ("wrong", (2, 3, 4, 5)), {"loss": LOSSES, "own": "eval/loss"}),
        ("bits_per_byte", {"loss": [0.9, 0.85, 0.8, 1.3]}, ("look", (2, 3, 4, 5)), {"loss": [0.9, 1.3, 1.3, 1.3]}),
        ("mixed_losses", {"loss": LOSSES, "train/loss": LOSSES, "own": "eval/loss"}, ("look", ()), {"loss": LOSSES, "train/loss": LOSSES}),
        ("mixed_losses", {"loss": LOSSES, "loss_kind": ["c4", "c4", "c4", "pile"]}, ("look", (5,)), {"loss": LOSSES, "loss_kind": ["c4"] * 4}),
        ("mixed_tokenizers", {"tokenizer": ["gpt2", "gpt2", "llama", "gpt2"]}, ("look", (4,)), {"tokenizer": ["gpt2", "gpt2", "llama", "llama"], "group": list("aabb")}),
        ("mixed_tokenizers", {"vocab": [50257, 50257, 32000, 50257]}, ("look", (4,)), {"vocab": [50257] * 4}),
        ("several_epochs", {"tokens": [2e9, 2e9, 8e9], "unique_tokens": [2e9, np.nan, 2e9]}, ("look", (4,)), {"tokens": [2e9, 2e9], "unique_tokens": [2e9, 5e9]}),
        ("several_epochs", {"tokens": [2e9, 2e9], "epochs": [1.0, 3.0]}, ("look", (3,)), {"tokens": [2e9, 2e9], "epochs": [1.0, 0.5]}),
        ("several_epochs", {"tokens": [2e9, 2e9], "unique_tokens": [2e9, 2e9], "epochs": [1.0, 3.0]}, ("look", (3,)), {"epochs": [3.0]}),
        ("small_units", {"tokens": [2.0, 20.0, 200.0], "n_active": [1e8, 1e9, 1e10]}, ("wrong", (2, 3, 4)), {"tokens": [2.0, 20.0, 200.0], "n_active": [0.1, 1.0, 10.0]}),
        ("small_units", {"tokens": [2e3, 2e4, 2e5], "n_dense": [1e8, 1e9, 1e10]}, ("wrong", (2, 3, 4)), {"tokens": [2e9, 2e10], "n_dense": [1e8, 1e9]}),
        ("small_units", {"tokens": [2e9, 2e10, 2e11], "n_total": [100.0, 1000.0, 7000.0]}, ("wrong", (2, 3, 4)), {"tokens": [2e9, 2e10], "n_total": [0.0, np.nan]}),
        ("units", {"tokens": [2e9, 2e9, 5e7, 1e16], "n_active": [1e8, 2e13, 1e8, 1e8]}, ("look", (3, 5)), {"tokens": [2e9] * 4, "n_active": [1e7, 1e8, 1e9, 1e10]}),
        ("few_steps", {"steps": [500, 20_000, 1999, 2000]}, ("look", (2, 4)), {"steps": [2000, 20_000, 5000, 5000]}),
        ("few_steps", {"tokens": [1e9, 2e10, 1e10, 1e10], "batch_tokens": [2e6] * 4}, ("look", (2,)), {"tokens": [1e9] * 4, "batch_tokens": [5e5] * 4}),
        ("few_steps", {"tokens": [1e9] * 4, "batch_sequences": [1024] * 4, "sequence_length": [2048, 512, 512, 128]}, ("look", (2, 3, 4)), {"tokens": [1e9] * 4, "batch_sequences": [128] * 4, "sequence_length": [2048] * 4}),
        ("undecayed", {"tokens": [1e9, 2e9, 2e9, 2e9], "planned_tokens": [2e9] * 4}, ("look", (2,)), {"tokens": [1.99e9] * 4, "planned_tokens": [2e9] * 4}),
        ("undecayed", {"steps": [10, 20, 20, 20], "planned_steps": [20] * 4}, ("look", (2,)), {"steps": [20] * 4, "planned_steps": [20] * 4}),
        ("undecayed", {"learning_rate": [1e-3] * 4, "final_learning_rate": [1e-3, 1e-4, 0, 6e-4]}, ("look", (2, 5)), {"learning_rate": [1e-3] * 4, "final_learning_rate": [1e-4] * 4}),
        ("repeats", {"run_id": list("abcd"), "loss": [2.5, 2.5, 2.5, 2.3], "seed": [1, 1, 2, 1]}, ("look", (3,)), {"run_id": list("abcd"), "loss": LOSSES, "seed": [1] * 4}),
    ],
)  # fmt: skip
def test_a_suspicion(name, holds, expected, not_there):
    suspect = getattr(checks, name)
    found = [
        suspect(sheet({"loss": columns.pop("own")} if "own" in columns else None, **columns))
        for columns in (dict(holds), dict(not_there))
    ]
    assert only(found[0]) == expected
    assert all(finding.hint and finding.kind for finding in found[0])
    assert found[1] == []


@pytest.mark.parametrize("suspect", SUSPICIONS, ids=lambda suspect: suspect.__name__)
def test_a_suspicion_has_nothing_to_say_of_an_empty_or_blank_sheet(suspect):
    assert suspect(Sheet(pd.DataFrame(index=pd.Index([], dtype=int)))) == []
    blank = {
        name: [np.nan] * 3
        for name in ("loss", "tokens", "n_active", "steps", "state", "diverged", "tokenizer", "vocab", "name")
    }
    assert suspect(sheet(**blank, run_id=list("abc"))) in ([], checks.repeats(sheet(**blank, run_id=list("abc"))))


def test_one_unknown_word_leaves_the_others_what_they_are():
    found = checks.unfinished(sheet(state=["California", "failed"]))
    assert [(one.kind, one.severity, one.rows) for one in found] == [
        ("unfinished", "wrong", (3,)),
        ("unknown state", "look", (2,)),
    ]


@pytest.mark.parametrize("steps", [[2500, 5000, 2500, 5000]])
def test_rows_of_one_run_at_several_steps_are_checkpoints_whatever_its_token_budget(steps):
    found = checks.checkpoints(
        sheet({"run_id": "run_id"}, run_id=["a", "a", "b", "b"], tokens=[1e9] * 4, steps=steps, loss=[3.0, 2.5, 3.1, 2.6])
    )
    assert [(one.kind, one.severity, one.rows) for one in found] == [
        ("checkpoint", "wrong", (2, 4)),
        ("token budget", "look", ()),
    ]


def test_a_training_loss_is_told_also_where_no_other_is_known():
    found = checks.mixed_losses(Sheet(pd.DataFrame({"loss": LOSSES}), {"loss": "train/loss"}, ["train/loss", "val/bpb"]))
    assert [one.severity for one in found] == ["look"]
    assert "val/bpb is in bits per byte" in found[0].rule


def test_a_word_that_is_not_known_is_told_and_the_others_count():
    found = checks.unfinished(sheet(state=["finished", "finished", "crashed", "CANCELLED by 1001", "resting"]))
    assert [(one.severity, len(one.rows)) for one in found] == [("wrong", 2), ("look", 1)]
    assert found[1].value == "resting"


def test_the_logarithm_of_a_perplexity_is_given():
    found = checks.perplexity(sheet({"loss": "ppl"}, loss=[12.0, 11.0]))
    assert found[0].hint == "give its logarithm: ln(12) = 2.4849"


def test_the_offset_of_a_tokenizer_is_given():
    runs = made(24, noise=0.0)
    runs["tokenizer"] = np.where(np.arange(24) % 2, "one", "two")
    runs["loss"] *= np.where(np.arange(24) % 2, 1.1, 1.0)
    assert "losses lie 9.5% apart" in checks.mixed_tokenizers(Sheet(runs))[0].rule


@pytest.mark.parametrize(
    ("tokens", "size", "says"),
    [(2.0, 1e8, "billions"), (2e3, 1e8, "millions"), (2e9, 0.1, "billions"), (2e9, 100.0, "millions")],
)
def test_the_other_column_tells_which_unit(tokens, size, says):
    found = checks.small_units(sheet(tokens=[tokens] * 3, n_active=[size] * 3))
    assert f"is in {says}" in found[0].rule
    assert {"millions": "1e+06", "billions": "1e+09"}[says] in found[0].hint


# Embeddings


def shaped(extra: float, **columns) -> Sheet:
    """Runs whose sizes exceed the shape's by a number of embeddings."""
    width = np.array([256.0, 512.0, 768.0, 1024.0])
    shape = {
        "d_model": width, "num_layers": np.full(4, 12.0), "d_ff": 4 * width, "num_moe_layers": np.full(4, 12.0),
        "num_experts": np.full(4, 8.0), "top_k": np.full(4, 2.0), "d_expert": 4 * width,
    }  # fmt: skip
    sizes = parameters_from_shape(**shape, d_shared=0.0)
    counted = {name: size + extra * 50_257 * width for name, size in sizes.items()}
    return sheet(**shape, **counted, **columns)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("vocab", [{"vocab": [50_257] * 4}, {}])
def test_embeddings_are_noticed_with_the_vocabulary_or_without(copies, vocab):
    found = checks.embeddings(shaped(copies, **vocab))
    assert {finding.column for finding in found} == {"n_dense", "n_active", "n_total"} if not vocab else len(found) >= 1
    assert {finding.severity for finding in found} == {"look"}


@pytest.mark.parametrize("vocab", [{"vocab": [50_257] * 4}, {}])
def test_sizes_without_embeddings_are_left_alone(vocab):
    assert checks.embeddings(shaped(0, **vocab)) == []
    assert checks.embeddings(shaped(0.3, **vocab)) == [] or not vocab


# Outliers


def made(count: int, noise: float = 0.003) -> pd.DataFrame:
    """Runs of a power law with a little noise."""
    rng = np.random.default_rng(0)
    size, tokens = 10 ** rng.uniform(7, 9, count), 10 ** rng.uniform(9, 11, count)
    experts = rng.choice([1.0, 4.0, 16.0, 64.0], count)
    ln_loss = 3.0 - 0.06 * np.log(size) - 0.04 * np.log(tokens) - 0.02 * np.log(experts) + noise * rng.standard_normal(count)
    frame = pd.DataFrame({"loss": np.exp(ln_loss), "tokens": tokens, "num_experts": experts, "n_active": size})
    return frame.set_axis(range(2, count + 2))


@pytest.mark.parametrize("times", [1.3, 0.75])
def test_an_outlier_is_found_and_said_in_mads(times):
    frame = made(30)
    frame.loc[7, "loss"] *= times
    found = checks.outliers(Sheet(frame))
    assert only(found) == ("look", (7,))
    assert "MADs " + ("above" if times > 1 else "below") in found[0].rule
    assert "n_active, tokens, num_experts" in found[0].rule


def test_several_outliers_do_not_hide_each_other():
    frame = made(40)
    frame.loc[[5, 6, 7, 8], "loss"] *= 1.4
    assert {row for finding in checks.outliers(Sheet(frame)) for row in finding.rows} == {5, 6, 7, 8}


def test_no_outlier_among_runs_of_a_law():
    assert checks.outliers(Sheet(made(200))) == []
    assert checks.outliers(Sheet(made(30, noise=0.0))) == []


def test_groups_have_their_own_level():
    frame = made(40).assign(group=["a", "b"] * 20)
    frame["loss"] *= np.where(frame["group"] == "a", 1.2, 1.0)
    assert checks.outliers(Sheet(frame)) == []


@pytest.mark.parametrize("count", [2, 7])
def test_few_runs_have_no_trend(count):
    assert power_law_residuals(made(count)) is None


def test_runs_that_do_not_vary_have_no_trend():
    assert power_law_residuals(pd.DataFrame({"loss": [2.5] * 20, "tokens": [1e9] * 20})) is None
