"""What each number of a scenario does to the recommended design and its cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import xarray as xr
from pydantic import Field

import bayesmoe
from bayesmoe.documents.base import Document, Experts, Number, Section


class Ends(Section):
    """Values at the low and the high end of an input."""

    low: Number
    high: Number

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """From the low and the high end."""
        low, high = values
        return cls(low=low, high=high)


class CountEnds(Section):
    """Recommended expert counts at the low and the high end; null where no design is feasible."""

    low: Experts | None
    high: Experts | None

    @classmethod
    def of(cls, counts: Iterable[int]) -> Self:
        """From the low and the high end, 0 for none."""
        low, high = (int(count) or None for count in counts)
        return cls(low=low, high=high)


class SensitivityInput(Section):
    """One number of the scenario, set to either end of its band with all others as they are."""

    input: str = Field(description="its place in the TOML")
    value: Ends
    num_experts: CountEnds
    cost_usd: Ends | None = Field(None, description="expected training and serving cost; where lifetime_tokens is given")
    cost_usd_per_million_tokens: Ends | None = Field(None, description="expected serving cost; otherwise")
    loss_nats_per_token: Ends


class ProblemSensitivity(Section):
    """Sensitivity of one problem, by decreasing swing of the cost."""

    baseline_num_experts: Experts | None = Field(description="recommended with every input as given; null for none")
    baseline_cost_usd: Number = None
    baseline_cost_usd_per_million_tokens: Number = None
    constant_mfu_num_experts: Experts | None = Field(
        None, description="recommended at one MFU for every count; where throughput is by layout"
    )
    inputs: tuple[SensitivityInput, ...]


class SensitivityDocument(Document):
    """A one-at-a-time sensitivity analysis."""

    kind: ClassVar[str] = "sensitivity"
    version: ClassVar[int] = 2
    command: ClassVar[str] = "bayesmoe sensitivity --json"

    bayesmoe_version: str
    scenario_name: str
    constant_mfu: Number = Field(None, description="that MFU; where throughput is by layout")
    problems: dict[str, ProblemSensitivity]

    @classmethod
    def of(cls, table: xr.Dataset) -> SensitivityDocument:
        """The document of :func:`bayesmoe.decisions.sensitivity.sensitivity`."""
        unit = "usd" if table.attrs["unit"] == "USD" else "usd_per_million_tokens"
        return cls(
            bayesmoe_version=bayesmoe.__version__,
            scenario_name=table.attrs["scenario_name"],
            problems={str(name): _problem(table.sel(problem=name), unit) for name in table["problem"].values},
            **({"constant_mfu": table.attrs["constant_mfu"]} if "constant_mfu" in table.attrs else {}),
        )


def _problem(part: xr.Dataset, unit: str) -> ProblemSensitivity:
    inputs = []
    for key in part["input"].values:
        row = part.sel(input=key)
        inputs.append(
            SensitivityInput(
                input=str(key),
                value=Ends.of(row["value"].values),
                num_experts=CountEnds.of(row["recommended"].values),
                loss_nats_per_token=Ends.of(row["loss"].values),
                **{f"cost_{unit}": Ends.of(row["cost"].values)},
            )
        )
    return ProblemSensitivity(
        baseline_num_experts=int(part["baseline_choice"]) or None,
        inputs=tuple(inputs),
        **{f"baseline_cost_{unit}": float(part["baseline_cost"])},
        **({"constant_mfu_num_experts": int(part["constant_mfu_choice"]) or None} if "constant_mfu_choice" in part else {}),
    )
