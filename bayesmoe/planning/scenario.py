"""A scenario: the budget, the choices, the serving fleet and what they cost, as read from one TOML file."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from bayesmoe.architecture import LEAST_SIZE, Family, Shape, shape_of_size
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.uncertain import Positive, Quantity, QuantityShare, Share, Uncertain, UncertainShare, median
from bayesmoe.costs.workload import Serving
from bayesmoe.errors import InputError
from bayesmoe.planning.choices import ChoicesSpec
from bayesmoe.planning.words import kv_share_of
from bayesmoe.specs import About, spec

_HALF = 0.5
_FFN_SHARE = 2.0 / 3.0
"""Share of a dense layer's parameters in its feed-forward part: the rest of the backbone's layers have no experts."""

_OURS = "an assumption of this project"
_YUN = "Yun 2024 (arXiv:2404.02852)"
_MOST_EPOCHS = (
    "as many as pay off, at most 40: even at the slower published decay more add under a twelfth (arXiv:2305.16264)"
)


@spec
class ArchitectureSpec:
    """Family of architectures; see :class:`bayesmoe.architecture.Family`. Defaults are Yun's: top-2 in one FFN of two.

    Parameters
    ----------
    moe_share : share
        Of the backbone parameters, those in feed-forward parts that experts replace.
    top_k : int
        Routed experts of a token, where `choices.top_k` offers none.
    granularity : float
        Width of a dense feed-forward part over that of an expert, where `choices.granularity` offers none.
    shared_experts : float
        Experts that every token uses, in widths of a routed one.
    width_times_layers : quantity
        Model width times layers over the backbone parameters to the power 2/3.
    kv_share : share
        Cache of a token over that of multi-head attention; a word such as "gqa" or "mla" stands for its share.
    vocab_size : int
        Entries of the vocabulary: embeddings and head take memory, and the head is read and multiplied at each step. 0 leaves them out.
    """

    moe_share: Annotated[Share, About("share of the backbone", _YUN)] = 1.0 / 3.0
    top_k: Annotated[int, Field(ge=1), About("experts of a token", _YUN)] = 2
    granularity: Annotated[Positive, About("dense widths", _YUN)] = 1.0
    shared_experts: Annotated[float, Field(ge=0), About("experts", _YUN)] = 0.0
    width_times_layers: Annotated[
        Quantity, About("", "public models", 0.001, 1.0, "give d_model x layers / n_dense^(2/3)")
    ] = Field(default_factory=lambda: Uncertain(median=0.045, log_sd=0.15))
    kv_share: Annotated[
        QuantityShare,
        BeforeValidator(kv_share_of),
        About("share", "grouped queries: 1/8 in Llama 3 70B, 1/4 in Mixtral, 1/25 in DeepSeek-V3"),
    ] = Field(default_factory=lambda: UncertainShare(median=0.125, log_sd=0.5))
    vocab_size: Annotated[
        int, Field(ge=0), About("entries", "128k of Llama 3 (arXiv:2407.21783)", 0, 1e7, "give its entries")
    ] = 128_000

    @property
    def moe_layer_share(self) -> float:
        """Share of layers whose feed-forward part is experts."""
        return min(1.0, self.moe_share / _FFN_SHARE)

    def family(self, top_k: Any = None, granularity: Any = None) -> Family:
        """The family of architectures, with other experts per token or granularity where they are given."""
        top_k, granularity = self.top_k if top_k is None else top_k, self.granularity if granularity is None else granularity
        return Family(self.moe_share, 1.0 * top_k, 1.0 * granularity, self.shared_experts)

    def shape(
        self,
        n_dense: float,
        num_experts: int,
        top_k: int | None = None,
        granularity: float | None = None,
        *,
        parallel: int = 1,
    ) -> Shape:
        """A shape in whole numbers near a size: experts in every second layer, or in all but the first where they hold more than half."""
        return shape_of_size(
            max(n_dense, LEAST_SIZE),
            num_experts,
            rule="yun" if self.moe_share < _HALF else "ling",
            top_k=top_k or self.top_k,
            granularity=granularity or self.granularity,
            shared_experts=round(self.shared_experts),
            mu=median(self.width_times_layers),
            parallel=parallel,
        )


@spec
class LimitsSpec:
    """Bounds that problems read, and those that hold for every problem.

    Parameters
    ----------
    loss_nats : float, optional
        Threshold of loss; the baseline's at its loss optimum where left out.
    serving_usd_per_million_tokens : float, optional
        Threshold of serving cost; the baseline's at its loss optimum where left out.
    memory_bytes : float, optional
        Total memory of ``memory_limited``.
    cached_tokens : float
        Tokens cached in that memory beside the weights.
    n_total_parameters : float, optional
        Total parameters, the same for all, of ``equal_resources``.
    output_tokens_per_s : float, optional
        Demand that the fleet of ``fixed_hardware`` meets.
    unique_tokens : float, optional
        Tokens of the training data: training tokens of every problem are at most `unique_tokens` x `max_epochs`, and those beyond
        `unique_tokens` are repeats, worth less than fresh ones.
    max_epochs : float
        Most passes over the training data; a plan makes as many of them as pay off.
    constraints : tuple of str
        Expressions that every solution satisfies; see :mod:`bayesmoe.planning.constraints`.
    """

    loss_nats: Annotated[
        Positive | None,
        About("nats per token", "the baseline's", 0.3, 12.0, "give cross-entropy in nats per token, such as 2.1"),
    ] = None
    serving_usd_per_million_tokens: Annotated[
        Positive | None,
        About(
            "USD per million output tokens", "the baseline's", 1e-5, 1e4, "give USD per million output tokens, such as 0.5"
        ),
    ] = None
    memory_bytes: Annotated[Positive | None, About("bytes", "", 1e7, 1e16, "give bytes: 80 GB is 80e9")] = None
    cached_tokens: Annotated[float, Field(ge=0), About("tokens", "none", None, 1e13, "give tokens")] = 0.0
    n_total_parameters: Annotated[Positive | None, About("parameters", "", 1e6, 1e15, "give parameters: 60B is 60e9")] = None
    output_tokens_per_s: Annotated[
        Positive | None, About("tokens/s", "", 1e-3, 1e10, "give the output tokens a second of all users, or [traffic]")
    ] = None
    unique_tokens: Annotated[Positive | None, About("tokens", "no limit", 1e7, 1e17, "give tokens: 15T is 15e12")] = None
    max_epochs: Annotated[
        Positive, About("passes", _MOST_EPOCHS, 0.01, 1e3, "give passes over the unique tokens, such as 4")
    ] = 40.0
    constraints: Annotated[tuple[str, ...], About("", "none")] = ()

    @property
    def most_tokens(self) -> float:
        """Most training tokens; infinite where data are not limited."""
        return float("inf") if self.unique_tokens is None else self.unique_tokens * self.max_epochs


@spec
class ValueSpec:
    """What a loss is worth.

    Parameters
    ----------
    usd_per_nat : float, optional
        USD that a loss lower by one nat is worth; what compute buys it for at the margin where left out.
    """

    usd_per_nat: Annotated[
        Positive | None,
        About("USD per nat/token", "what training buys a nat for at the margin", 1.0, 1e15, "give USD, such as 5e6"),
    ] = None


@spec
class ToleranceSpec:
    """When two designs are equally good, and with which probability a design must meet its constraints.

    Parameters
    ----------
    loss_nats : float
        Difference in loss within which designs are near-optimal, and by which the baseline's loss may be missed.
    cost_share : float
        Share of the cost, in the same way.
    probability : share
        With which the recommended design keeps its constraints.
    """

    loss_nats: Annotated[float, Field(ge=0), About("nats per token", _OURS)] = 0.01
    cost_share: Annotated[float, Field(ge=0), About("share of the cost", _OURS)] = 0.05
    probability: Annotated[Share, About("probability", _OURS)] = 0.9


MOST_TOKENS_PER_PARAMETER = 3e5
"""Training tokens for an active parameter beyond which no law was ever tested: five times those of Qwen3-0.6B (36e12 tokens, arXiv:2505.09388)."""


class Candidate(NamedTuple):
    """An architecture to choose, up to its size.

    Attributes
    ----------
    num_experts, top_k, granularity : number
        E, K and G.
    """

    num_experts: int
    top_k: int
    granularity: float


@spec
class Scenario:
    """Everything a plan needs besides the posterior.

    Parameters
    ----------
    training, serving, choices, architecture, limits, value, tolerance : table
        See each.
    name : str
        Title of plan and report.
    problems : tuple of str
        What is asked; see "What to ask", or ``package.module:MyProblem``.
    goal : str, optional
        Which of these decides; the first where it is left out. The others are views of the same choice.
    seed : int
        Same seed, same draws of everything uncertain.

    Examples
    --------
    >>> scenario = bm.Scenario(
    ...     training=bm.Training(budget_flop=5e21),
    ...     serving=bm.Serving(accelerator="H100-SXM"),
    ...     choices={"num_experts": (1, 8, 32), "baseline_num_experts": 8},
    ... )
    """

    training: Training
    serving: Serving
    name: Annotated[str, About("", "")] = "unnamed"
    choices: ChoicesSpec = Field(default_factory=ChoicesSpec)
    architecture: ArchitectureSpec = Field(default_factory=ArchitectureSpec)
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    value: ValueSpec = Field(default_factory=ValueSpec)
    tolerance: ToleranceSpec = Field(default_factory=ToleranceSpec)
    problems: Annotated[tuple[str, ...], Field(min_length=1), About("", "the two of Yun 2024")] = (
        "cheapest_serving",
        "lowest_loss",
    )
    goal: Annotated[str | None, About("", "the first of `problems`")] = None
    seed: Annotated[int, Field(ge=0), About("", "")] = 0

    @model_validator(mode="after")
    def _goal_is_asked(self) -> Scenario:
        if self.goal is not None and self.goal not in self.problems:
            raise InputError(
                "must be one of problems", column="goal", value=self.goal, hint=f"asked: {', '.join(self.problems)}"
            )
        return self

    @model_validator(mode="after")
    def _experts_suffice(self) -> Scenario:
        routed = [count for count in self.choices.counts if count > 1]
        fewest = min(self.choices.top_k or (self.architecture.top_k,))
        if routed and fewest > min(routed):
            raise InputError(
                f"must be at most the smallest routed expert count ({min(routed)})",
                column="choices.top_k" if self.choices.top_k else "architecture.top_k",
                value=fewest,
            )
        return self

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every architecture to choose from, by expert count; a dense model has no experts per token and no granularity to choose."""
        choices, own = self.choices, self.architecture
        variants = list(itertools.product(choices.top_k or (own.top_k,), choices.granularity or (own.granularity,)))
        return tuple(
            Candidate(count, top_k, granularity)
            for count in choices.counts
            for top_k, granularity in (variants if count > 1 else variants[:1])
            if top_k <= count or count == 1
        )


DEMAND_HINT = "say how many output tokens will be served in all, such as { median = 1e13, log_sd = 0.5 }"
"""What to do where a cost needs ``serving.lifetime_tokens``."""

SECTIONS = ("training", "serving", "choices", "architecture", "limits", "value", "tolerance", "problems", "goal", "traffic")
"""Keys of a scenario that a complaint may be about."""


def with_counts(scenario: Scenario, counts: tuple[int, ...]) -> Scenario:
    """The same scenario with these expert counts."""
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, num_experts=counts))


def in_group(scenario: Scenario, group: str | None) -> Scenario:
    """The same scenario for another group of runs; unchanged for None."""
    if group is None:
        return scenario
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, group=group))
