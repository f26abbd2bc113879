"""Prose on what architectures cost and on calibrations."""

from __future__ import annotations

import math
from typing import Any

import xarray as xr

from bayesmoe.errors import printable
from bayesmoe.reporting.text import BAND_NOTE
from bayesmoe.terminal import table
from bayesmoe.units import band, percent

_COSTS = {
    "weight_bytes": ("weights", 1e9, "GB"),
    "memory_bytes": ("weights and cache", 1e9, "GB"),
    "n_gpus": ("GPUs of a replica", 1.0, ""),
    "prefill_gpus": ("GPUs that compute its prompts", 1.0, ""),
    "attention_ranks": ("of them, for attention by requests", 1.0, ""),
    "draft_tokens": ("tokens drafted ahead of a step", 1.0, ""),
    "kw": ("power of a replica", 1.0, "kW"),
    "batch": ("requests together", 1.0, ""),
    "tpot_s": ("time per output token", 1e-3, "ms"),
    "ttft_s": ("time to first token", 1e-3, "ms"),
    "output_tokens_per_s_per_gpu": ("output tokens per second and GPU", 1.0, ""),
    "serving_usd_per_million_tokens": ("serving, per million output tokens", 1.0, "USD"),
    "usd_per_million_input_tokens": ("of which, per million input tokens", 1.0, "USD"),
    "usd_per_million_cached_tokens": ("per million input tokens that a cache holds", 1.0, "USD"),
    "usd_per_million_decoded_tokens": ("and per million output tokens alone", 1.0, "USD"),
    "train_tokens": ("training tokens that the budget buys", 1e9, "billion"),
    "train_usd": ("training", 1.0, "USD"),
    "lifetime_usd": ("training and serving, in all", 1.0, "USD"),
}
_ON_CLUSTER = {
    "train_tokens_per_s_per_gpu": ("trained tokens per second and GPU", 1.0, ""),
    "train_mfu": ("MFU", 1.0, ""),
    "train_step_s": ("training step", 1.0, "s"),
    "train_memory_bytes": ("memory of a GPU while training", 1e9, "GB"),
    "train_gpu_hours": ("GPU-hours of those tokens", 1.0, ""),
    "train_days": ("days of the cluster", 1.0, ""),
}
_PARTS = {
    "matmul": "dense matrices",
    "experts": "expert matrices",
    "attention": "attention",
    "elementwise": "elementwise kernels",
    "routing": "routing tokens",
    "all_to_all": "sending tokens to experts",
    "tensor_parallel": "tensor parallelism",
    "data_parallel": "gradients and optimizer",
    "launches": "launching kernels",
    "uneven_routing": "uneven routing",
    "recompute": "recomputation",
    "bubble": "the pipeline's bubble",
}
_TERMS = {
    "layer": "launching layers",
    "moe_layer": "launching experts",
    "hop": "waiting for other GPUs",
    "request": "scheduling requests",
    "memory": "reading weights and cache",
    "activations": "gathering tokens for experts",
    "compute": "arithmetic outside of experts",
    "prefill": "reading prompts",
    "experts": "expert matrices",
    "communication": "traffic between GPUs",
}
_WHOLE = ("n_gpus", "attention_ranks", "draft_tokens", "batch")
_LIMITS = {
    "speed": "a latency that is not known bounds the batch",
    "memory": "memory bounds the batch",
    "max_batch": "the cap on the batch bounds it",
    "max_tpot_s": "the target for time per output token bounds the batch",
    "max_ttft_s": "the target for time to first token bounds the batch",
}


def costs(found: xr.Dataset) -> str:
    """Bands on what architectures cost, as :func:`bayesmoe.costs.cost.bands` gives them."""
    lines = []
    for i, name in enumerate(found["architecture"].values):
        part = found.isel(architecture=i)
        chance = float(part["p_feasible"])
        limit = str(part["commonest_limit"].item())
        lines.append(f"{printable(str(name))}: {_served(chance, limit)}")
        rows = _banded(part, _COSTS)
        apportion = {_TERMS[str(term)]: float(part["term_share"].sel(term=term)) for term in part["term"].values}
        if math.isfinite(sum(apportion.values())):
            rows.append(("a step goes into", _largest(apportion)))
        rows += _on_cluster(part)
        if rows:
            lines.append(table(("", ""), rows, text=2, indent=2))
    measured = found.attrs.get("largest_batch", math.inf)
    beyond = [
        printable(str(name))
        for name in found["architecture"].values
        if float(found["batch"].sel(architecture=name)[1]) > measured
    ]
    lines += [f"No price of serving: {doubt}." for doubt in found.attrs.get("doubts", [])]
    if beyond:
        lines.append(
            f"Beyond the {measured:,.0f} requests together that were measured at a known load: {', '.join(beyond)}."
        )
    return "\n".join(
        [*lines, f"{BAND_NOTE.replace(' if the law holds', '')} GPUs and batch are those that are cheapest in each draw."]
    )


def _banded(part: xr.Dataset, quantities: dict[str, tuple[str, float, str]]) -> list[tuple[str, str]]:
    """Label and value of each quantity that is known."""
    rows = []
    for quantity, (label, unit, suffix) in quantities.items():
        if quantity not in part or not math.isfinite(float(part[quantity][1])):
            continue
        if quantity in ("draft_tokens", "prefill_gpus") and not float(part[quantity].max()):
            continue
        low, middle, high = (float(value) / unit for value in part[quantity].values)
        said = band(low, middle, high, large=middle >= 1e4)
        if quantity in _WHOLE:
            said = f"{middle:.0f}" + (f" ({low:.0f}–{high:.0f})" if round(low) < round(high) else "")
        rows.append((label, f"{said} {suffix}".rstrip()))
    return rows


def _largest(shares: dict[str, float]) -> str:
    """The three largest shares."""
    return ", ".join(f"{name} {percent(share)}" for name, share in sorted(shares.items(), key=lambda one: -one[1])[:3])


def _on_cluster(part: xr.Dataset) -> list[tuple[str, str]]:
    """What training on the scenario's cluster takes, where it states one."""
    if "p_trains" not in part:
        return []
    chance, reason = float(part["p_trains"]), str(part["train_reason"].item())
    if reason:
        memory = _banded(part, {"train_memory_bytes": _ON_CLUSTER["train_memory_bytes"]})
        return [("on the cluster", f"cannot be trained: {reason}."), *memory]
    said = percent(chance)
    fits = f"P(fits) {said if said[0] in '<>' else f'= {said}'}; {part['train_layout'].item()}"
    shares = {_PARTS[str(name)]: float(part["train_part_share"].sel(train_part=name)) for name in part["train_part"].values}
    return [("on the cluster", fits), *_banded(part, _ON_CLUSTER), ("a training step goes into", _largest(shares))]


def _served(chance: float, limit: str) -> str:
    if chance == 0.0:
        why = {
            "memory": "it does not fit into the memory of the most GPUs allowed",
            "max_batch": "the cap on the batch is below one request",
            "speed": "it fits, but a step takes forever, or its latency was not measured",
            "max_tpot_s": "not even one request meets the target for time per output token",
            "max_ttft_s": "not even one request meets the target for time to first token",
        }
        return f"P(feasible) = 0: {why[limit]}."
    said = percent(chance)
    only = "" if chance == 1.0 else " Serving numbers hold in the draws in which it is."
    return f"P(feasible) {said if said[0] in '<>' else f'= {said}'}; {_LIMITS[limit]}.{only}"


def calibration(found: xr.DataTree, path: Any) -> str:
    """What a calibration of the roofline found."""
    posterior = found["posterior"].to_dataset()
    own = posterior["between_models"] ** 2 + posterior["by_cell"] ** 2 + posterior["within"] ** 2
    common, of_model = float(posterior["by_deployment"].median()), math.sqrt(float(own.median()))
    models = ", ".join(map(printable, map(str, posterior["architecture"].values)))
    return (
        f"{found.attrs['points']} points of {models}; worst R-hat {found.attrs['rhat']:.3f}, {found.attrs['divergences']} divergences.\n"
        f"A deployment is off by a factor of e^±{common:.2f} (one sd) for all models, and each model that was not measured by e^±{of_model:.2f} more.\n"
        f"calibration in {path}; name it in a scenario as serving.calibration"
    )


def training_calibration(found: xr.DataTree, path: Any) -> str:
    """What a calibration of the training step found."""
    posterior = found["posterior"].to_dataset()
    dense, moes = (float(posterior[name].median()) for name in ("between_dense", "between_moes"))
    models = ", ".join(map(printable, map(str, posterior["architecture"].values)))
    return (
        f"{found.attrs['points']} points of {models}; worst R-hat {found.attrs['rhat']:.3f}, {found.attrs['divergences']} divergences.\n"
        f"A dense model that was not measured is off by a factor of e^±{dense:.2f}, an MoE by e^±{moes:.2f}.\n"
        f"calibration in {path}; name it in a scenario as training.calibration"
    )
