"""Seconds of prefill and decode from a table of the user's own measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.measured import refuse_rows
from bayesmoe.costs.serving.roofline import Coefficients
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.traffic import Traffic
from bayesmoe.errors import InputError
from bayesmoe.tables import numbers_of, read_measurements

_COLUMNS = ("num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s")


# Compared by identity: compiled programs are kept by what they were compiled for, and tables of numbers have no hash.
@dataclass(frozen=True, eq=False)
class TableLatency:
    """Measured latencies, linear in backbone size and batch between the points (Yun 2024, appendix C).

    For each measured pair of expert count and GPU count the points form a full grid of sizes and batches. Outside the grid,
    or for a pair that was not measured, the latency is not known: NaN, which a plan counts as infeasible.
    """

    grids: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]

    def largest_batch(self, num_experts: Elementwise, n_gpus: Elementwise) -> Elementwise:
        """Largest batch measured with those expert and GPU counts, where a server that could hold more stops; infinite for others."""
        experts, gpus = jnp.broadcast_arrays(num_experts, n_gpus)
        largest = jnp.full(experts.shape, jnp.inf)
        for (count, on), (_, batches, *_) in self.grids.items():
            largest = jnp.where((experts == count) & (gpus == on), batches[-1], largest)
        return largest

    def __call__(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise]:
        """Seconds of prefill and of decode in one iteration; lengths are those of the measurements."""
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

    def by_batch(
        self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Callable[[Elementwise], tuple[Elementwise, None]]:
        """Seconds of an iteration as a function of the batch; none to the first token."""
        return lambda batch: (sum(self(model, batch, n_gpus, traffic, coefficients)), None)

    def first_token_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> None:
        """A table has iterations only: no time to first token."""

    def prompt_alone_s(self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients) -> None:
        """A table has iterations that decode: nothing of workers that compute prompts alone."""

    def prompt_cache_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> None:
        """A table has iterations only: nothing of their parts."""

    def seconds_by_term(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> None:
        """A table has no terms."""

    def _stacked(self) -> tuple[Any, Any, Any, Any]:
        """All grids as one array each, short ones filled up with infinities, so that one lookup serves every pair."""
        rows = max(len(sizes) for sizes, *_ in self.grids.values())
        columns = max(len(batches) for _, batches, *_ in self.grids.values())
        sizes = np.full((len(self.grids), rows), np.inf)
        batches = np.full((len(self.grids), columns), np.inf)
        seconds = np.zeros((len(self.grids), rows, columns, 2))
        for i, (measured_sizes, measured_batches, *measured_s) in enumerate(self.grids.values()):
            size, batch = slice(len(measured_sizes)), slice(len(measured_batches))
            sizes[i, size], batches[i, batch], seconds[i, size, batch] = (
                measured_sizes,
                measured_batches,
                np.stack(measured_s, axis=-1),
            )
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
    frame = read_measurements(path, _COLUMNS, "latencies")
    for column in _COLUMNS:
        numbers = numbers_of(frame[column])
        refuse_rows(frame, path, column, ~((numbers > 0) & np.isfinite(numbers)), "must be a positive number")
        frame[column] = numbers
    for column in ("num_experts", "n_gpus"):
        refuse_rows(frame, path, column, frame[column] % 1 != 0, "must be a whole number")
    if frame.empty:
        raise InputError("has no measurements", file=path, hint="measure at least two sizes with two batches each")
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
                hint="measure the missing points or drop that pair",
            )
        sizes, batches = grid.index.to_numpy(float), grid["decode_s"].columns.to_numpy(float)
        grids[experts, gpus] = (sizes, batches, grid["prefill_s"].to_numpy(), grid["decode_s"].to_numpy())
    return TableLatency(grids)
