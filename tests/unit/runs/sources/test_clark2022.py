"""Clark et al. 2022: the rules on a small file, and equality with the shared tidy table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.sources import clark2022

STEP_TOKENS = 256 * 2048


def evaluation(hyper_id: int, step: int, loss: float | None, **settings: object) -> dict[str, object]:
    """Return one line of the upstream file: an S-Base run on the main grid unless told otherwise."""
    return {
        "hyper_id": hyper_id, "step": step, "loss_c4": 3.0, "loss_curation_corpus": 3.1, "loss_lambada": 3.2,
        "loss_pile": 3.3, "loss_validation": loss, "loss_wikitext103": 3.4, "num_experts": 8, "d_model": 64,
        "num_blocks": 4, "num_heads": 4, "kqv_size": 16, "flop_increase": 1.0, "k": 1, "seed": 42,
        "router_type": "S-Base", "routing_frequency": 0.5, "total_parameter_count": 1_700.0,
        "dense_parameter_count": 1_000.0, "flops_per_step": 50.0, "model_size_label": "1k",
    } | settings  # fmt: skip


def tidy(folder: Path, *evaluations: dict[str, object]) -> pd.DataFrame:
    """Write the lines as the upstream file and read them back tidy."""
    path = folder / "curves.csv.gz"
    pd.DataFrame(evaluations).to_csv(path, index=False)
    return clark2022.final({"curves": path})


def test_only_the_last_step_is_kept_wherever_it_stands(tmp_path):
    runs = tidy(tmp_path, evaluation(0, 20, 2.5), evaluation(0, 30, 2.6), evaluation(0, 10, 2.0))
    assert runs["loss"].tolist() == [2.6]
    assert runs["tokens"].tolist() == [30 * STEP_TOKENS]
    assert runs["train_flop"].tolist() == [3 * 50.0 * 30]


def test_rows_follow_hyper_id_and_carry_its_number(tmp_path):
    runs = tidy(tmp_path, evaluation(12, 10, 2.0), evaluation(3, 10, 2.1))
    assert runs["run_id"].tolist() == ["clark22-003", "clark22-012"]


@pytest.mark.parametrize(
    ("settings", "n_active", "top_k"),
    [
        ({}, 1_000, 1),
        ({"k": 2}, 1_100, 2),
        ({"k": 4}, 1_300, 4),
        ({"k": 2, "num_experts": 4}, 1_233, 2),
        ({"k": 2, "num_experts": 4, "total_parameter_count": 1_800.0}, 1_267, 2),
        ({"router_type": "Dense", "num_experts": 1, "k": 2, "flop_increase": 2.0}, 1_700, 1),
    ],
)
def test_n_active_counts_every_chosen_expert_and_the_wider_dense_model(tmp_path, settings, n_active, top_k):
    runs = tidy(tmp_path, evaluation(0, 10, 2.0, **settings))
    assert runs["n_active"].tolist() == [n_active]
    assert runs["top_k"].tolist() == [top_k]
    assert runs["n_dense"].tolist() == [1_000]


@pytest.mark.parametrize(
    ("settings", "main_grid"),
    [({}, 1), ({"k": 2}, 0), ({"routing_frequency": 0.25}, 0), ({"num_experts": 1, "flop_increase": 4.0}, 0)],
)
def test_main_grid_is_one_frequency_one_expert_per_token_and_no_flop_increase(tmp_path, settings, main_grid):
    assert tidy(tmp_path, evaluation(0, 10, 2.0, **settings))["main_grid"].tolist() == [main_grid]


def test_notes_keep_the_settings_and_the_files_own_k(tmp_path):
    settings = {"routing_frequency": 1 / 12, "num_experts": 1, "k": 2, "flop_increase": 2.0}
    notes = tidy(tmp_path, evaluation(0, 10, 2.0, **settings))["notes"]
    assert notes.tolist() == ["routing_frequency=0.08333; k=2; flop_increase=2; size=1k"]


@pytest.mark.parametrize(("second", "suspect"), [(2.025, 0), (2.035, 1)])
def test_repeats_are_suspect_only_beyond_the_run_noise(tmp_path, second, suspect):
    runs = tidy(tmp_path, evaluation(0, 10, 2.0), evaluation(1, 10, second), evaluation(2, 10, 3.0, k=2))
    assert runs["suspect"].tolist() == [suspect, suspect, 0]
    prefix = "SUSPECT: two runs of one config differ by 0.035 nats; "
    assert runs["notes"].str.startswith(prefix).sum() == 2 * suspect


@pytest.mark.parametrize(("rarer", "suspect"), [(2.1, 0), (1.98, 0), (1.95, 1)])
def test_rarer_routing_is_suspect_when_it_wins_by_more_than_the_noise(tmp_path, rarer, suspect):
    runs = tidy(
        tmp_path,
        evaluation(0, 10, rarer, routing_frequency=0.125),
        evaluation(1, 10, 2.0, routing_frequency=0.25),
        evaluation(2, 10, 3.0, routing_frequency=0.5, num_experts=4),
    )
    assert runs["suspect"].tolist() == [suspect, 0, 0]
    prefix = "SUSPECT: better than routing_frequency 0.25 at same E; "
    assert runs["notes"].str.startswith(prefix).tolist() == [bool(suspect), False, False]


@pytest.mark.parametrize("column", ["loss_validation", "dense_parameter_count", "flops_per_step"])
def test_a_missing_column_is_named(tmp_path, column):
    line = evaluation(0, 10, 2.0)
    del line[column]
    with pytest.raises(InputError, match=column):
        tidy(tmp_path, line)


def test_a_run_without_a_final_loss_is_refused_and_not_given_an_earlier_one(tmp_path):
    with pytest.raises(InputError, match="run 7"):
        tidy(tmp_path, evaluation(7, 10, 2.0), evaluation(7, 20, None))


def test_the_real_file_gives_the_shared_table_row_for_row(shared_data):
    got = clark2022.final({"curves": shared_data / "raw" / "clark2022_curves.csv.gz"})
    want = pd.read_csv(shared_data / "runs" / "clark2022_final.csv")
    pd.testing.assert_frame_equal(got, want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("twin", ["one loss off by 1e-6", "last step cut off"])
def test_a_changed_file_does_not_give_the_shared_table(shared_data, tmp_path, twin):
    curves = pd.read_csv(shared_data / "raw" / "clark2022_curves.csv.gz")
    last = curves["step"].where(curves["hyper_id"] == 100).idxmax()
    if twin == "last step cut off":
        curves = curves.drop(index=last)
    else:
        curves.loc[last, "loss_validation"] += 1e-6
    changed = tmp_path / "curves.csv"
    curves.to_csv(changed, index=False)
    got = clark2022.final({"curves": changed})
    want = pd.read_csv(shared_data / "runs" / "clark2022_final.csv")
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(got, want, rtol=1e-9, atol=0)
