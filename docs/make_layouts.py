"""Write ``docs/layouts.md``: workers apart, drafts and wide layouts against measurements that no fit saw.

``python docs/make_layouts.py FOLDER`` reads ``serving/serving_disagg.csv`` and ``workloads/acceptance.csv`` from FOLDER (see the data cards).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from make_serving import LEVELS, covered
from scipy.optimize import least_squares

OUT = Path(__file__).with_name("layouts.md")
NAMES = {"DeepSeek-R1": "deepseek-v3", "gpt-oss-120b": "gpt-oss-120b", "Qwen3-235B-A22B": "qwen3-235b-a22b"}
LENGTH_SHARE = 0.9
"""Real over nominal lengths: the benchmark draws them from 0.8 to 1 times."""
ALIKE = 1.35
"""By how much the loads of a pair may differ."""
DRAWS = 400
PUBLISHED = (
    ("deepseek-v3", "H200-SXM", "fp8", 8, 1024.0, 1024.0, 1620.0),
    ("deepseek-v3", "B200-SXM", "fp4", 4, 1024.0, 1024.0, 6430.0),
    ("deepseek-v3", "H200-SXM", "fp8", 8, 1024.0, 8192.0, 1218.0),
    ("gpt-oss-120b", "H200-SXM", "fp4", 1, 1024.0, 1024.0, 6798.0),
    ("gpt-oss-120b", "H100-SXM", "fp4", 4, 1024.0, 1024.0, 4715.0),
    ("gpt-oss-120b", "B200-SXM", "fp4", 2, 1024.0, 1024.0, 25870.0),
)
"""Output tokens per second and GPU of saturated engines, as vendors published them: model, chip, precision, GPUs, lengths."""


def rows_of(folder: Path) -> pd.DataFrame:
    """Rows without flags whose layout, and whose drafts where they have any, are known."""
    table = pd.read_csv(folder / "serving" / "serving_disagg.csv")
    table = table[table["quality_flags"].isna() & table["speculation"].isin(["none", "mtp"])]
    table = table[table["decode_dp_attention"].notna() & table["prefill_dp_attention"].notna()]
    return table[(table["speculation"] == "none") | table["mtp_draft_tokens"].notna()].reset_index(drop=True)


def acceptances(folder: Path) -> pd.DataFrame:
    """``a`` and ``g`` of each model, method and setting: least squares on its accepted lengths, and the largest error."""
    from bayesmoe.costs.serving.traffic import Traffic

    def off(logits: np.ndarray, group: pd.DataFrame) -> np.ndarray:
        a, g = 1.0 / (1.0 + np.exp(-logits))
        drafted = group["draft_length"].to_numpy(float)
        said = np.asarray(Traffic(1.0, 1.0, draft_tokens=drafted, acceptance=a, acceptance_decay=g).tokens_per_step)
        return said - group["mean_accepted_length"].to_numpy(float)

    table = pd.read_csv(folder / "workloads" / "acceptance.csv")
    found = []
    for (model, method, _, thinking), group in table.groupby(["model", "method", "variant", "thinking"], dropna=False):
        fitted = least_squares(off, np.array([2.0, 2.0]), args=(group,))
        a, g = 1.0 / (1.0 + np.exp(-fitted.x))
        found.append((model, method, "on" if thinking else "off", a, g, np.abs(fitted.fun).max()))
    return pd.DataFrame(found, columns=["model", "method", "thinking", "a", "g", "error"])


def spread(values: pd.Series, models: pd.Series) -> tuple[float, float]:
    """Geometric mean and log-sd between models."""
    logs = np.log(values).groupby(models).mean()
    return float(np.exp(logs.mean())), float(logs.std())


def forecasts(table: pd.DataFrame, acceptance: tuple[float, float], decay: tuple[float, float]) -> pd.DataFrame:
    """Share of draws below what was measured, and the medians, of a decoding worker's step; and a prompt's throughput on the other."""
    from bayesmoe.architecture import public_shape
    from bayesmoe.costs.hardware import accelerator_named
    from bayesmoe.costs.serving import Roofline, Traffic, served_shapes
    from bayesmoe.costs.serving.calibration import coefficients, drawn_calibration, read_calibration

    calibration, rng, found = read_calibration(), np.random.default_rng(0), []
    for _, row in table.iterrows():
        engine = row["engine"] if row["engine"] in calibration["engine"].values else None
        known = drawn_calibration(calibration, DRAWS, rng, accelerator=row["hardware"], engine=engine)
        off = coefficients(known, 1, rng)
        chances = [np.minimum(mid * np.exp(sd * rng.standard_normal((DRAWS, 1))), 1.0) for mid, sd in (acceptance, decay)]
        drafted = 0.0 if row["speculation"] == "none" else float(row["mtp_draft_tokens"])
        prompt, output = LENGTH_SHARE * row["isl_tokens"], LENGTH_SHARE * row["osl_tokens"]
        traffic = Traffic(prompt, output, 1.0, 0.0, 0.0, 0.0, 0.0, drafted, *chances, apart=1.0)
        model, roofline = (
            served_shapes([public_shape(NAMES[row["model"]])]),
            Roofline(accelerator_named(row["hardware"]), row["weight_precision"]),
        )
        # Little's law: of all requests that are open, those past their first token decode.
        batch = row["concurrency_requests"] * (1.0 - row["ttft_share_of_latency"]) / row["decode_workers"]
        on = {side: float(row[f"{side}_gpus_per_worker"]) for side in ("prefill", "decode")}
        of = {side: model._replace(attention_ranks=on[side] if row[f"{side}_dp_attention"] else 1.0) for side in on}
        step = np.ravel(np.log(np.asarray(sum(roofline(of["decode"], batch, on["decode"], traffic, off)))))
        seconds, _ = roofline.prompt_alone_s(of["prefill"], on["prefill"], traffic, off)
        observed = np.log(1e-3 * row["tpot_ms"])
        prompts = float(np.median(prompt / np.asarray(seconds) / on["prefill"]))
        found.append((batch, np.median(step) - observed, (step < observed).mean(), prompts))
    return table.assign(**dict(zip(("batch", "error", "below", "prompt_rate"), zip(*found, strict=True), strict=True)))


def line(name: str, rows: pd.DataFrame) -> str:
    """A line of a table of errors."""
    error = np.abs(np.expm1(-rows["error"])).median()
    bias = np.exp(rows["error"].median())
    return f"| {name} | {len(rows)} | {100 * error:.0f}% | {bias:.2f} | {covered(rows['below'].to_numpy())} |"


def drafts_against_none(found: pd.DataFrame) -> list[str]:
    """Gains of drafts at one layout and nearly one load: measured, and predicted from the medians."""
    at = ["model", "hardware", "engine", "weight_precision", "isl_tokens", "osl_tokens"]
    at += ["decode_gpus_per_worker", "decode_dp_attention"]
    plain, ahead = (found[found["speculation"] == kind] for kind in ("none", "mtp"))
    pairs = plain.merge(ahead, on=at, suffixes=("_none", ""))
    pairs = pairs[np.abs(np.log(pairs["batch"] / pairs["batch_none"])) < np.log(ALIKE)]
    measured = np.log(pairs["tpot_ms_none"] / pairs["tpot_ms"])
    predicted = measured + pairs["error_none"] - pairs["error"]
    lines = ["| requests of a worker that decode | pairs | TPOT better by | predicted |", "|---|---|---|---|"]
    for low, high in ((0, 2), (2, 8), (8, 32), (32, 128), (128, 1e6)):
        inside = (pairs["batch_none"] > low) & (pairs["batch_none"] <= high)
        if inside.any():
            span = f"{low} to {high:.0f}" if high < 1e6 else f"over {low}"
            gains = [np.exp(each[inside].median()) for each in (measured, predicted)]
            lines.append(f"| {span} | {inside.sum()} | {gains[0]:.2f} | {gains[1]:.2f} |")
    return lines


def published() -> list[str]:
    """Saturated engines of public claims beside bands of theirs: attention by requests wherever that is cheaper."""
    from bayesmoe.architecture import public_shape
    from bayesmoe.costs.cost import bands, cost
    from bayesmoe.costs.training_budget import Training
    from bayesmoe.costs.workload import Serving

    lines = [
        "| model | chip | GPUs | prompt / output | published | predicted | inside 90% |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, chip, precision, gpus, prompt, output, claimed in PUBLISHED:
        serving = Serving(
            accelerator=chip,
            precision=precision,
            max_gpus=gpus,
            prompt_tokens=prompt,
            output_tokens=output,
            utilization=1.0,
            max_batch=2048,
        )
        found = bands(cost([public_shape(name)], Training(budget_flop=1e21), serving, draws=2000))
        low, middle, high = found["output_tokens_per_s_per_gpu"].isel(architecture=0).values
        said = f"{middle:,.0f} ({low:,.0f}–{high:,.0f})"
        inside = "yes" if low <= claimed <= high else "no"
        lines.append(
            f"| {name} | {chip}, {precision} | {gpus} | {prompt:.0f} / {output:.0f} | {claimed:,.0f} | {said} | {inside} |"
        )
    return lines


def production() -> list[str]:
    """DeepSeek's published means of a day, on nodes of eight H800: 608e9 prompt tokens, 342e9 of them cached, and 168e9 of output."""
    from bayesmoe.architecture import public_shape
    from bayesmoe.costs.hardware import accelerator_named
    from bayesmoe.costs.serving import Roofline, Traffic, served_shapes
    from bayesmoe.costs.serving.calibration import coefficients, drawn_calibration, read_calibration

    # An H800 is an H100 with 200 GB/s to each side of its link.
    chip = replace(accelerator_named("H100-SXM"), link_bytes_per_s=200e9)
    rng, calibration = np.random.default_rng(0), read_calibration()
    off = coefficients(drawn_calibration(calibration, DRAWS, rng, accelerator="H100-SXM"), 1, rng)
    model = served_shapes([public_shape("deepseek-v3")])
    # 4,989 tokens of context on average, the mean prompt and half the mean output.
    output = 4989.0 / (608.0 / 168.0 + 0.5)
    traffic = Traffic(
        4989.0 - 0.5 * output, output, 1.0, 342.0 / 608.0, draft_tokens=1.0, acceptance=0.85, acceptance_decay=0.9, apart=1.0
    )
    wide, seconds = model._replace(attention_ranks=144.0), 1.0 / 21.0
    batches = np.geomspace(144.0, 144.0 * 512, 200)
    lines = ["| role | GPUs | exchange hidden | published | predicted | inside 90% |", "|---|---|---|---|---|---|"]
    for hidden in (False, True):
        roofline = Roofline(chip, "fp8", overlap=hidden)
        step = np.asarray(sum(roofline(wide, batches, 144.0, traffic, off)))
        rates = np.where(step <= seconds, batches / step / 144.0, 0.0).max(axis=1)
        prompt_s, _ = roofline.prompt_alone_s(model._replace(attention_ranks=32.0), 32.0, traffic, off)
        prompts = np.ravel(traffic.prompt_tokens / np.asarray(prompt_s) / 32.0)
        for role, gpus, claimed, values in (
            ("decode, 20 to 22 tokens/s of a user", 144, 14800 / 8, rates),
            ("prompts, cached ones counted", 32, 73700 / 8, prompts),
        ):
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
            inside, said = "yes" if low <= claimed <= high else "no", "yes" if hidden else "no"
            predicted = f"{middle:,.0f} ({low:,.0f}–{high:,.0f})"
            lines.append(f"| {role} | {gpus} | {said} | {claimed:,.0f} | {predicted} | {inside} |")
    return lines


def main() -> None:
    """Forecast every row, and write the page."""
    import jax

    from bayesmoe.files import write_text

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    accepted = acceptances(folder)
    acceptance, decay = (spread(accepted[name], accepted["model"]) for name in ("a", "g"))
    found = forecasts(rows_of(folder), acceptance, decay)
    family = accepted[(accepted["method"] == "MTP") & accepted["model"].str.startswith("deepseek")]
    own = [(float(np.exp(np.log(family[name]).mean())), sd) for name, (_, sd) in (("a", acceptance), ("g", decay))]
    drafting = forecasts(rows_of(folder).query("speculation == 'mtp'"), *own)
    plain, ahead = (found[found["speculation"] == kind] for kind in ("none", "mtp"))
    head = ["| rows | | median error | median over measured | covered |", "|---|---|---|---|---|"]
    rates = found.groupby(["hardware", "weight_precision"]).agg(
        most=("input_tokens_per_s_per_prefill_gpu", lambda rate: rate.quantile(0.95)),
        said=("prompt_rate", "median"),
        rows=("error", "size"),
    )
    wide = plain["decode_gpus_per_worker"] > 8
    lines = [
        "# Workers apart, drafts and wide layouts",
        "",
        "Made by `python docs/make_layouts.py FOLDER`. The calibration of [serving](serving.md) saw engines whose steps compute prompts and decode, without",
        "drafts. Here it meets measurements of a kind that it never saw: prompts on workers of their own, tokens drafted ahead, and workers of",
        f"up to 48 GPUs (ai-dynamo/aiconfigurator, {len(found)} rows without flags whose layout and drafts are known). Nothing was fitted to them,",
        "but one thing was learned from them: with all requests scheduled by one processor, steps of more than eight GPUs were 31% off, so each rank of attention now schedules its own.",
        "",
        "## Workers that decode",
        "",
        f"TPOT at the requests that decode by Little's law; coverage of bands of {' / '.join(f'{100 * level:.0f}' for level in LEVELS)}%.",
        "",
        *head,
        line("no drafts", plain),
        line("drafts, accepted as the defaults say", ahead),
        line(f"drafts, accepted as DeepSeek-V4's own (a {own[0][0]:.2f}, g {own[1][0]:.2f})", drafting),
        line("no drafts, up to 8 GPUs", plain[~wide]),
        line("no drafts, more", plain[wide]),
        *(line(f"no drafts, {chip}", rows) for chip, rows in plain.groupby("hardware")),
        "",
        "## Drafts",
        "",
        f"Chance `a` that the first drafted token is accepted, and factor `g` for each after it, by least squares; geometric means {acceptance[0]:.2f} and {decay[0]:.2f}, log-sd between",
        f"models {acceptance[1]:.2f} and {decay[1]:.2f}: a scenario's defaults. The prompts are code, which is easy to foresee.",
        "",
        "| model | method | thinking | a | g | largest error, tokens |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.model} | {r.method} | {r.thinking} | {r.a:.2f} | {r.g:.2f} | {r.error:.2f} |"
            for r in accepted.itertuples()
        ),
        "",
        f"What drafts gain at one layout, loads within a factor of {ALIKE:g}, where both were measured:",
        "",
        *drafts_against_none(found),
        "",
        "## Workers that compute prompts",
        "",
        "Tokens of prompts a second and GPU: the 95% quantile of what was measured, as most workers wait for requests, beside the median of what a full step computes.",
        "",
        "| chip | rows | most measured | predicted |",
        "|---|---|---|---|",
        *(
            f"| {chip}, {precision} | {row.rows:.0f} | {row.most:,.0f} | {row.said:,.0f} |"
            for (chip, precision), row in rates.iterrows()
        ),
        "",
        "## Published throughput",
        "",
        "Output tokens a second and GPU of saturated engines that compute prompts and decode on the same workers:",
        "",
        *published(),
        "",
        "DeepSeek's means of a day in production (deepseek-ai/open-infra-index), tokens a second and GPU on H800, one token drafted ahead. It computes half of a batch while the",
        "other half is exchanged (`serving.overlap_communication`):",
        "",
        *production(),
        "",
    ]
    write_text(OUT, "\n".join(lines))


if __name__ == "__main__":
    main()
