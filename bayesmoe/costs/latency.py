"""How long one serving iteration takes: an analytic roofline, or a table of the user's own measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayesmoe.costs.hardware import Accelerator
from bayesmoe.errors import InputError


class Served(NamedTuple):
    """A model as its server sees it; arrays of one broadcast shape.

    Attributes
    ----------
    n_dense, n_active, n_total, n_routed : array
        Parameters: backbone, per token, all, and in routed experts.
    num_experts, top_k : array
        Routed experts and routed experts per token (1 and 1 for dense).
    num_layers : array
        Transformer layers.
    kv_bytes_per_token : array
        Bytes cached per token of context.
    """

    n_dense: Any
    n_active: Any
    n_total: Any
    n_routed: Any
    num_experts: Any
    top_k: Any
    num_layers: Any
    kv_bytes_per_token: Any


class Latency(Protocol):
    """Seconds of one iteration that decodes a batch and prefills its share of new requests."""

    @property
    def largest_batch(self) -> float:
        """Largest batch whose latency is known."""
        ...

    def __call__(self, model: Served, batch: Any, n_gpus: Any) -> tuple[Any, Any]:
        """``(prefill_s, decode_s)`` of an iteration."""
        ...


def expert_hit_share(batch: Any, num_experts: Any, top_k: Any) -> Any:
    """Share of routed experts that a batch touches: ``1 - (1 - k/E)^B``; 1 for a dense model.

    Routing is taken as independent and uniform, so this is an upper bound on average (Erdil 2025, arXiv:2506.04645, Eq. 22).
    """
    return -jnp.expm1(batch * jnp.log1p(-jnp.minimum(top_k / num_experts, 1.0 - 1e-12)))


@dataclass(frozen=True)
class AnalyticLatency:
    """Additive roofline with distinct experts, calibrated to public measurements.

    ``t_step = L (c0 + c1 [g > 1]) + c2 t_mem + c3 t_flop + c4 t_pre``

    with ``t_mem = (weights touched + KV read) / (g bandwidth)``, ``t_flop = 2 n_active B / (g peak)`` and ``t_pre = 2 n_active
    B (p/n) / (g peak)``; the last is the prefill of the ``B/n`` requests that arrive per iteration.

    Parameters
    ----------
    accelerator : Accelerator
        Peaks and bandwidth.
    prompt_tokens, output_tokens : float
        Means p and n.
    bytes_per_weight : float
        Bytes of one weight.
    layer_s, layer_multi_gpu_s, memory, flop, prefill : float
        c0 and c1 in seconds, c2, c3 and c4 without unit. The defaults are a least-squares fit to 2,913 public measurements
        on H100, H200 and B200 (aiconfigurator-core 0.12.0, silicon_sample.csv), residual log-sd 0.35; c3 came out as 0,
        collinear with the others, which is no evidence of free compute.
    """

    accelerator: Accelerator
    prompt_tokens: float
    output_tokens: float
    bytes_per_weight: float = 2.0
    layer_s: float = 72.07e-6
    layer_multi_gpu_s: float = 28.96e-6
    memory: float = 1.12
    flop: float = 0.0
    prefill: float = 1.11

    @property
    def largest_batch(self) -> float:
        """A formula knows every batch."""
        return np.inf

    def __call__(self, model: Served, batch: Any, n_gpus: Any) -> tuple[Any, Any]:
        """Seconds of prefill and of decode in one iteration."""
        hit = expert_hit_share(batch, model.num_experts, model.top_k)
        weights = self.bytes_per_weight * (model.n_total - model.n_routed * (1.0 - hit))
        context = self.prompt_tokens + 0.5 * self.output_tokens
        t_mem = (weights + model.kv_bytes_per_token * batch * context) / (n_gpus * self.accelerator.bandwidth_bytes_per_s)
        t_flop = 2.0 * model.n_active * batch / (n_gpus * self.accelerator.peak_flop_per_s)
        layers = model.num_layers * (self.layer_s + self.layer_multi_gpu_s * (n_gpus > 1))
        prefill = self.prefill * t_flop * self.prompt_tokens / self.output_tokens
        return prefill, layers + self.memory * t_mem + self.flop * t_flop


_COLUMNS = ("num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s")


@dataclass(frozen=True)
class TableLatency:
    """Measured latencies, linear in backbone size and batch between the points (Yun 2024, appendix C).

    For each measured pair of expert count and GPU count the points form a full grid of sizes and batches. Outside the grid,
    or for a pair that was not measured, the latency is not known: NaN, which a plan counts as infeasible.
    """

    grids: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]

    @property
    def largest_batch(self) -> float:
        """Largest batch measured for every pair; a server that could hold more is told to stop there."""
        return min(float(batches[-1]) for _, batches, *_ in self.grids.values())

    def smallest_size(self, num_experts: int) -> float:
        """Smallest measured backbone with that expert count; infinite when there is none."""
        return min(
            (float(sizes[0]) for (count, _), (sizes, *_) in self.grids.items() if count == num_experts), default=np.inf
        )

    def __call__(self, model: Served, batch: Any, n_gpus: Any) -> tuple[Any, Any]:
        """Seconds of prefill and of decode in one iteration."""
        experts, gpus, size, batch = jnp.broadcast_arrays(model.num_experts, n_gpus, model.n_dense, batch)
        pairs, sizes, batches, seconds = self._stacked()
        match = (experts[..., None] == pairs[:, 0]) & (gpus[..., None] == pairs[:, 1])
        pair = jnp.argmax(match, axis=-1)
        row, across, known_size = _place(size, sizes[pair])
        column, down, known_batch = _place(batch, batches[pair])
        corners = [seconds[pair, row + i, column + j] for i in (0, 1) for j in (0, 1)]
        weights = [(1 - across) * (1 - down), (1 - across) * down, across * (1 - down), across * down]
        total = sum(weight[..., None] * corner for weight, corner in zip(weights, corners, strict=True))
        known = jnp.any(match, axis=-1) & known_size & known_batch
        total = jnp.where(known[..., None], total, jnp.nan)
        return total[..., 0], total[..., 1]

    def _stacked(self) -> tuple[Any, Any, Any, Any]:
        """All grids as one array each, short ones filled up with infinities, so that one lookup serves every pair."""
        rows = max(len(sizes) for sizes, *_ in self.grids.values())
        columns = max(len(batches) for _, batches, *_ in self.grids.values())
        sizes = np.full((len(self.grids), rows), np.inf)
        batches = np.full((len(self.grids), columns), np.inf)
        seconds = np.zeros((len(self.grids), rows, columns, 2))
        for i, (own_sizes, own_batches, prefill_s, decode_s) in enumerate(self.grids.values()):
            sizes[i, : len(own_sizes)], batches[i, : len(own_batches)] = own_sizes, own_batches
            seconds[i, : len(own_sizes), : len(own_batches)] = np.stack([prefill_s, decode_s], axis=-1)
        return jnp.array(list(self.grids)), jnp.asarray(sizes), jnp.asarray(batches), jnp.asarray(seconds)


def _place(value: Any, knots: Any) -> tuple[Any, Any, Any]:
    """Interval of ``knots`` (last axis, filled up with infinities) that holds a value, its share of it, and whether any does."""
    last = jnp.sum(jnp.isfinite(knots), axis=-1) - 1
    left = jnp.clip(jnp.sum(value[..., None] >= knots, axis=-1) - 1, 0, last - 1)
    low, high = (jnp.take_along_axis(knots, index[..., None], axis=-1)[..., 0] for index in (left, left + 1))
    share = (value - low) / (high - low)
    return left, share, (share >= 0) & (share <= 1)


def read_latency_table(path: str | Path) -> TableLatency:
    """Read measured latencies from a CSV with columns ``num_experts, n_gpus, n_dense, batch, prefill_s, decode_s``.

    ``prefill_s`` is the time to prefill ``batch`` divided by the mean output length requests, ``decode_s`` the time of one
    decode iteration of ``batch`` requests, both in seconds.

    Raises
    ------
    InputError
        The file is unreadable, a column is missing, a time is not positive, or a grid has holes.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError("cannot be read", file=path, cure="give a CSV of measured latencies") from error
    for column in _COLUMNS:
        if column not in frame:
            raise InputError(
                "is missing from the latency table", file=path, column=column, cure=f"it needs {', '.join(_COLUMNS)}"
            )
    for column in _COLUMNS:
        numbers = pd.to_numeric(frame[column], errors="coerce")
        broken = ~((numbers > 0) & (numbers < float("inf")))
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise InputError(
                "must be a positive number", file=path, row=row + 2, column=column, value=str(frame[column].iloc[row])
            )
    for column in ("num_experts", "n_gpus"):
        broken = frame[column] % 1 != 0
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise InputError(
                "must be a whole number", file=path, row=row + 2, column=column, value=str(frame[column].iloc[row])
            )
    if frame.empty:
        raise InputError("has no measurements", file=path, cure="measure at least two sizes with two batches each")
    grids = {}
    pairs = frame[["num_experts", "n_gpus"]].drop_duplicates().to_numpy(int)
    for experts, gpus in pairs.tolist():
        points = frame[(frame["num_experts"] == experts) & (frame["n_gpus"] == gpus)]
        grid = points.pivot_table(index="n_dense", columns="batch", values=["prefill_s", "decode_s"], aggfunc="mean")
        if grid.isna().any(axis=None) or min(grid["decode_s"].shape) < 2:
            raise InputError(
                f"must give every size with every batch, at least two of each, for num_experts {experts} on {gpus} GPUs",
                file=path,
                column="n_dense, batch",
                cure="measure the missing points or drop that pair",
            )
        sizes, batches = grid.index.to_numpy(float), grid["decode_s"].columns.to_numpy(float)
        grids[experts, gpus] = (sizes, batches, grid["prefill_s"].to_numpy(), grid["decode_s"].to_numpy())
    return TableLatency(grids)
