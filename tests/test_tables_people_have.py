"""The command line on small tables that once went wrong: what it says, with which exit code, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from bayesmoe.runs.audit.inspect import inspect_runs

EXPERTS, TOP_K = [1, 1, 1, 4, 4, 4, 16, 16, 16], [1, 1, 1, 2, 2, 2, 2, 2, 2]
DENSE, TOKENS = [2e7, 2e7, 6e7] * 3, [2e8, 8e8, 6e8] * 3
LOSS = [5.0098, 4.3658, 4.0714, 4.8511, 4.2213, 3.9473, 4.7517, 4.1183, 3.9058]
TOTAL = [2e7, 2e7, 6e7, 6e7, 6e7, 1.8e8, 2.2e8, 2.2e8, 6.6e8]
ACTIVE = [2e7, 2e7, 6e7, 33333333, 33333333, 99999999, 33333333, 33333333, 99999999]
BASE = {"num_experts": EXPERTS, "top_k": TOP_K, "n_dense": DENSE, "tokens": TOKENS, "loss": LOSS}
STATES = ["finished", "crashed", "finished", "finished", "crashed", "finished", "finished", "queued", "finished"]


def table(*without: str, **columns) -> str:
    """CSV of nine runs less some columns, with others beside."""
    kept = {name: values for name, values in BASE.items() if name not in without}
    return pd.DataFrame(kept | columns).to_csv(index=False)


def checkpoints(
    key: str, *, loss: str = "loss", blank: tuple[int, ...] = (), tokens: Callable[[int], float] = lambda _: 2e8
) -> str:
    """Four runs, four rows each."""
    rows = [
        {key: f"run-{run}", "step": step, "tokens": tokens(step), "num_experts": 1 + 3 * (run > 1), "top_k": 1 + (run > 1), "n_dense": 2e7 * (1 + run % 2)}
        | ({"train/loss": 4.0 - run / 9 - step / 1e4} if blank else {})
        | {loss: np.nan if step in blank else 4.02 - run / 9 - step / 1e4}
        for run in range(4)
        for step in (2500, 5000, 7500, 10000)
    ]  # fmt: skip
    return pd.DataFrame(rows).to_csv(index=False)


def dump(*, odd: str = "", values: int = 0) -> str:
    """Runs as wandb.Api().runs gives them."""
    histogram = {"gradients": {"_type": "histogram", "values": list(range(values))}} if values else {}
    rows = []
    for run, (experts, top_k, dense, tokens, loss) in enumerate(zip(*BASE.values(), strict=True)):
        config = str({"num_experts": experts, "top_k": top_k, "n_dense": dense, "tokens": tokens})
        config = config[:-1] + (odd if run == 4 else "") + "}"
        rows.append({"name": f"run-{run}", "config": config, "summary": json.dumps({"val/loss": loss, **histogram})})
    return pd.DataFrame(rows).to_csv(index=False)


DENSE_GRID = {
    "n": np.repeat([2e7, 5e7, 1.2e8, 3e8], 4),
    "d": np.tile([5, 20, 60, 150], 4) * np.repeat([2e7, 5e7, 1.2e8, 3e8], 4),
}
DENSE_LOSS = 1.7 + 400 * DENSE_GRID["n"] ** -0.34 + 410 * DENSE_GRID["d"] ** -0.28
SHAPES = {
    "hidden_size": 512, "num_hidden_layers": 8, "num_moe_layers": 7, "intermediate_size": 2048, "moe_intermediate_size": 256, "n_routed_experts": 64,
    "num_experts_per_tok": [6, 6, 8, 8], "n_shared_experts": [2, 2, 0, 0], "tokens": [5e9, 2e10] * 2, "val_loss": [5.0, 4.6, 5.0, 4.6],
}  # fmt: skip
ROUTING = {
    "name": [f"run-{run}" for run in range(4)], "config.num_experts": 64, "config.num_experts_per_tok": 2, "config.temperature": 1.0, "config.top_k": 50,
    "config.top_p": 1.0, "config.n_dense": [2e7, 2e7, 6e7, 6e7], "config.n_total": [8.6e8, 8.6e8, 2.58e9, 2.58e9], "summary.eval/loss": LOSS[:4],
    "summary.tokens": [2e8, 8e8, 6e8, 24e8],
}  # fmt: skip
TRACKED = {"Name": [f"run-{run}" for run in range(9)], "State": "finished", "Created": "2025-01-01", "Runtime": 100}
CORPORA = {
    "run_id": [f"{data}-{place}" for data in ("web", "code", "math") for place in range(6)], "group": "sweep-2", "data": np.repeat(["web", "code", "math"], 6),
    "num_experts": 1, "n_total": np.tile([2e7, 2e7, 1e8, 1e8, 4e8, 4e8], 3), "tokens": np.tile([1e9, 8e9], 9),
    "val_loss": np.repeat([1.0, 0.55, 0.75], 6) * np.tile([4.29, 3.72, 3.74, 3.17, 3.44, 2.89], 3),
}  # fmt: skip
PLANNED = {
    "Name": list("abcd"), "State": "finished", "num_experts": [1, 1, 4, 4], "top_k": [1, 1, 2, 2], "n_dense": [2e7, 6e7] * 2, "tokens_per_step": 262144,
    "num_iterations": [9155] * 4, "step": [9155, 2746, 9155, 9155], "val/loss": [3.87, 3.58, 3.77, 3.41],
}  # fmt: skip


class Case(NamedTuple):
    """A table, flags, the exit code, what must and must not be said, and what the cleaned copy holds."""

    text: str
    says: tuple[str, ...]
    never: tuple[str, ...] = ()
    code: int = 0
    flags: tuple[str, ...] = ()
    clean: dict[str, list[float]] | None = None


def csv(**columns) -> str:
    """CSV of these columns."""
    return pd.DataFrame(columns).to_csv(index=False)


CLEAN_9 = {"loss": LOSS, "tokens": TOKENS}
CASES = {
    "a batch in tokens": Case(csv(**(BASE | {"tokens": None, "steps": 3052, "global_batch_size": 65536, "sequence_length": 2048})).replace("tokens,", "none,"), ("read as tokens",), clean={"tokens": [3052 * 65536.0] * 9}),
    "bits by perplexity": Case(table("loss", **{"valid/loss": np.array(LOSS) / np.log(2), "valid/ppl": np.exp(LOSS)}), ("is in bits per token", "ln 2"), ("nothing looks wrong",), clean={"loss": LOSS}),
    "bits by name": Case(table("loss", val_loss_bits=np.array(LOSS) / np.log(2)), ("is in bits per token", "ln 2"), ("nothing looks wrong",), flags=("--map", "loss=val_loss_bits"), clean={"loss": LOSS}),
    "checkpoints with one budget": Case(checkpoints("run"), ("checkpoint in rows", "the budget of the run"), clean={"steps": [10000] * 4}),
    "a config with an object": Case(dump(odd=", 'dtype': torch.bfloat16"), ("config of row 6 holds torch.bfloat16",), ("diverged",), clean=CLEAN_9),
    "a config that is cut": Case(dump(odd=", 'dtype': {"), ("unreadable in row 6 (run-4): config: cannot be read",), ("must be a finite number",), 1),
    "the logarithm of another row": Case(table("loss", loss=[*LOSS[:5], 12.5, *LOSS[6:]]), ("ln(12.5) = 2.5257",), ("1.6114",)),
    "dense without an expert count": Case(csv(params=DENSE_GRID["n"], tokens=DENSE_GRID["d"], val_loss=DENSE_LOSS, num_layers=8), ("num_experts = 1", "all models are dense"), ("did you mean",)),
    "blank experts": Case(table(num_experts=[None] * 3 + EXPERTS[3:], top_k=[None] * 3 + TOP_K[3:]), ("num_experts = 1 where it is blank or 0 (3 rows)",), clean={"num_experts": EXPERTS}),
    "0 experts": Case(table(num_experts=[0] * 3 + EXPERTS[3:], top_k=[0] * 3 + TOP_K[3:]), ("num_experts = 1 where it is blank or 0 (3 rows)",), clean={"num_experts": EXPERTS}),
    "a comment on top": Case("# exported on Monday\n" + table(), ("left out 1 comment line (line 1)", "nothing looks wrong"), clean=CLEAN_9),
    "a history": Case(csv(_step=np.arange(1, 13) * 1000, _runtime=np.arange(12) * 7.0, _timestamp=np.arange(12) * 7.0, **{"val/loss": 2.5 + 2 / np.arange(1, 13)}, tokens_seen=np.arange(1, 13) * 5e8, num_experts=8, top_k=2, n_dense=3e8), ("the history of one run, of which only the last row is a run", "11 cannot stand"), code=1, clean={"loss": [2.5 + 2 / 12]}),
    "a loss curve": Case(csv(step=np.arange(1, 31) * 100, lr=np.linspace(1e-3, 1e-4, 30), loss=2.5 + 2 / np.arange(1, 31)), ("the history of one run",), ("nothing looks wrong",), 1),
    "no loss in the last row": Case(checkpoints("run", loss="val/loss", blank=(2500, 10000), tokens=lambda step: step * 2e4), ("at step 7500 of 10000", "undecayed"), ("diverged or",), clean={"loss": [4.02 - run / 9 - 0.75 for run in range(4)]}),
    "several corpora": Case(csv(**CORPORA), ("losses differ by data (code, math, web)", "--map group=data"), ("nothing looks wrong",)),
    "a mean over the run": Case(csv(**TRACKED, **{name: BASE[name] for name in ("num_experts", "top_k", "n_dense", "tokens")}, train_loss=np.array(LOSS) + 1.1, **{"train/loss": LOSS}), ("loss = train/loss", "train_loss may be a mean", "is a training loss"), clean={"loss": LOSS}),
    "nats under the name perplexity": Case(table("loss", **{"eval_metrics.perplexity": LOSS}), ("is a perplexity by its name", "because it was mapped so"), ("np.float64",), flags=("--map", "loss=eval_metrics.perplexity"), clean={"loss": LOSS}),
    "the nearest name": Case(table("loss", val_ce=LOSS, logs="a.out"), ("did you mean 'val_ce'?",), ("did you mean 'logs'",), 1),
    "units in brackets": Case(table("n_dense", "tokens", **{"params (M)": np.array(TOTAL) / 1e6, "tokens (B)": np.array(TOKENS) / 1e9}), ("n_total = params (M)", "tokens = 1e+09 tokens (B)"), clean={"n_total": TOTAL, "tokens": TOKENS}),
    "no size at all": Case(table("n_dense", "tokens", **{"model weights [mln]": TOTAL, "toks": TOKENS}), ("no law can be fitted", "--map n_total=model weights [mln]"), ("nothing looks wrong",), 1),
    "one unknown state": Case(table(run_id=[f"run-{run}" for run in range(9)], state=STATES), ("unfinished in rows 3 (run-1), 6 (run-4), 9 (run-7)",), code=1),
    "a wide table": Case(table(**{f"eval/task_{place}": place for place in range(150)}), ("nothing looks wrong",), ("Warning",)),
    "parameters of the embedding": Case(table("n_dense", **{"embedding/num_params": 25755648, "model/num_params": TOTAL}), ("n_total = model/num_params",), clean={"n_total": TOTAL}),
    "planned steps": Case(csv(**PLANNED), ("steps = step", "planned_steps = num_iterations", "undecayed in row 3 (b)"), clean={"steps": [9155, 2746, 9155, 9155]}),
    "a repeated run_id": Case(checkpoints("run_id"), ("checkpoint in rows", "keep the last row of each run"), ("drop the copy",), clean={"steps": [10000] * 4}),
    "a top_k of sampling": Case(csv(**ROUTING), ("config.num_experts_per_tok",), ("top_k = config.top_k",), clean={"top_k": [2] * 4}),
    "shared experts": Case(csv(**SHAPES), ("d_shared = shared_experts * d_expert",)),
    "sizes without embeddings": Case(table("n_dense", params=np.array(TOTAL) + 51511296, non_emb_params=TOTAL), ("n_total = non_emb_params",), clean={"n_total": TOTAL}),
    "sizes in words": Case(table("n_dense", n_params=[f"{total / 1e6:g}M" for total in TOTAL], tokens=[f"{tokens / 1e9:g}B" for tokens in TOKENS]), ("20M = 2e+07", "0.2B = 2e+08"), clean={"n_total": TOTAL, "tokens": TOKENS}),
    "a training loss alone": Case(csv(**TRACKED, **{name: BASE[name] for name in ("num_experts", "top_k", "n_dense", "tokens")}, **{"train/loss": LOSS, "val/bpb": np.array(LOSS) / 3}), ("is a training loss", "val/bpb is in bits per byte", "bytes per token")),
    "a chart": Case("Step,dense-8 - val/loss,dense-8 - val/loss__MIN,dense-8 - val/loss__MAX\n100,4.1,4.1,4.1\n200,3.6,3.6,3.6\n", ("is a chart of 1 run (dense-8)", "export the runs table instead"), ("--map",), 2),
    "a cell of any length": Case(dump(values=50_000), ("nothing looks wrong",), ("field limit",), clean=CLEAN_9),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.few(16)
def test_what_is_said_of_a_table(bayesmoe, tmp_path, monkeypatch, name):
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(case.text, encoding="utf-8")
    ended = bayesmoe("runs", "check", "runs.csv", *case.flags)
    said = " ".join((ended.out + ended.err).split())
    assert ended.code == (case.code or any(one in said for one in ("wrong: these rows",))), said
    for sentence in case.says:
        assert sentence in said, said
    for sentence in case.never:
        assert sentence not in said, said
    if case.clean is not None:
        assert bayesmoe("runs", "check", "runs.csv", *case.flags, "--clean", "out.csv").code == 0
        out = pd.read_csv("out.csv")
        for column, values in case.clean.items():
            np.testing.assert_allclose(out[column], values, rtol=1e-9)


@pytest.mark.parametrize(
    "columns", [("n_total", "tokens", "loss"), ("params", "train_tokens", "val_loss"), ("n_dense", "tokens", "loss")]
)
def test_a_dense_table_that_is_accepted_gets_a_spec(bayesmoe, tmp_path, monkeypatch, columns):
    monkeypatch.chdir(tmp_path)
    csv_text = csv(**dict(zip(columns, (DENSE_GRID["n"], DENSE_GRID["d"], DENSE_LOSS), strict=True)))
    Path("runs.csv").write_text(csv_text, encoding="utf-8")
    assert bayesmoe("runs", "check", "runs.csv", "--spec", "mine.toml").code == 0
    assert 'name = "chinchilla"' in Path("mine.toml").read_text(encoding="utf-8")


def test_models_to_predict_are_read_under_the_names_that_a_check_reads(bayesmoe, tmp_path, monkeypatch, small_fit):
    from bayesmoe.inference.store import save_fit

    monkeypatch.chdir(tmp_path)
    save_fit(small_fit, Path("fit.nc"))
    Path("models.csv").write_text("n_experts,topk,n_dense,train_tokens\n1,1,2e8,2e9\n4,2,2e8,8e9\n", encoding="utf-8")
    ended = bayesmoe("predict", "fit.nc", "models.csv")
    assert ended.code == 0, ended.err
    Path("models.csv").write_text("banana,topk,n_dense,train_tokens\n1,2,2e8,2e9\n", encoding="utf-8")
    refused = bayesmoe("predict", "fit.nc", "models.csv")
    assert refused.code == 2
    helped = bayesmoe("predict", "--help")
    assert ("--map" in refused.err) <= ("--map" in helped.out)


def test_thousands_of_findings_take_ten_lines(bayesmoe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({name: np.tile(values, 700) for name, values in BASE.items()}).astype(object)
    kinds = {"state": "crashed", "loss": np.nan, "tokens": "lots", "n_dense": -5.0, "num_experts": 2.5, "top_k": 200}
    frame = frame.assign(state="finished", run_id=[f"run-{run}" for run in range(len(frame))])
    for place, (column, value) in enumerate(kinds.items()):
        frame.loc[1000 * place : 1000 * place + 799, column] = value
    frame.to_csv("runs.csv", index=False)
    ended = bayesmoe("runs", "check", "runs.csv", "--clean", "out.csv")
    found = ended.out[ended.out.index("wrong: ") : ended.out.index("left out: ")]
    assert all(f"in 800 rows, first {2 + 1000 * place} (run-{1000 * place})" in found for place in range(6)), found
    assert len(found.splitlines()) <= 14
    assert ended.out.count("left out: 800 runs, first row ") == 6
    document = json.loads(bayesmoe("runs", "check", "runs.csv", "--json").out)
    assert len(document["left_out"]) == 4800
    assert sum(len(one["rows"]) for one in document["findings"] if one["severity"] == "wrong") == 4800


def test_outliers_beyond_a_few_are_counted(bayesmoe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({name: np.tile(values, 30) for name, values in BASE.items()})
    frame.loc[::20, "loss"] *= np.linspace(1.3, 1.6, len(frame.loc[::20]))
    frame.to_csv("runs.csv", index=False)
    said = " ".join(bayesmoe("runs", "check", "runs.csv").out.split())
    listed = [
        one
        for one in json.loads(bayesmoe("runs", "check", "runs.csv", "--json").out)["findings"]
        if one["kind"] == "outlier"
    ]
    assert len(listed) == len(frame.loc[::20])
    assert said.count("outlier in row ") == 5
    assert f"outlier: {len(listed) - 5} more like these in rows " in said


def test_a_table_without_size_tokens_and_experts_is_asked_for_a_size(tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("loss,lr,seed\n2.1,1e-3,1\n2.2,3e-3,2\n2.05,1e-4,3\n")
    (finding,) = [one for one in inspect_runs(path).findings if one.severity == "wrong"]
    assert "no column of size" in finding.rule
