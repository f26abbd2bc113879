"""Sections of a plan's document: the decision of one planning problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from bayesmoe.documents.base import Experts, Number, Probability, Quantiles, Section
from bayesmoe.documents.limit import LimitSection
from bayesmoe.documents.training import TrainingSection

if TYPE_CHECKING:
    from bayesmoe.decisions.decision import Advice, BreakEven, Decision
    from bayesmoe.decisions.outcome import DesignOutcome, PerDrawOptimum

_KEYS = {
    "n_dense": "n_dense_parameters",
    "n_active": "n_active_parameters",
    "n_total": "n_total_parameters",
    "loss": "loss_nats_per_token",
    "quantization_loss": "quantization_loss_nats_per_token",
    "n_gpus": "n_gpus_per_replica",
    "batch": "batch_requests",
}


class Measures(Section):
    """Summaries of a cost over draws; null where too many draws have none."""

    mean: Number
    q95: Number
    cvar95: Number = Field(description="mean of the worst twentieth")
    worst: Number = Field(description="worst draw")


class CountByMeasure(Section):
    """Recommended expert count by each summary of the objective; null for none."""

    mean: Experts | None
    q95: Experts | None
    cvar95: Experts | None
    worst: Experts | None


class DesignSection(Section):
    """The best design of an expert count: one size for all draws."""

    n_dense_parameters: Number
    tokens: Number
    tokens_per_total_parameter: Number
    top_k: Experts
    granularity: float
    p_feasible: Probability = Field(description="probability that every constraint is kept")
    meets_probability: bool = Field(description="whether that reaches the scenario's threshold")
    objective_nats: Measures | None = None
    objective_usd_per_million_tokens: Measures | None = None
    objective_usd: Measures | None = None
    objective_flop: Measures | None = None
    loss_nats_per_token: Quantiles
    quantization_loss_nats_per_token: Quantiles | None = Field(None, description="of the loss, from serving in fewer bits")
    serving_usd_per_million_tokens: Quantiles
    train_usd: Quantiles
    training: TrainingSection
    loss_difference_nats: Quantiles = Field(description="draw by draw, less the loss of the closest design")
    lifetime_usd_difference: Quantiles | None = Field(None, description="the same for training and serving; with a demand")
    serving_usd_per_million_tokens_difference: Quantiles | None = Field(None, description="the same; without a demand")
    total_usd: Measures | None = Field(None, description="cost with loss and violations at their worth; with a demand")
    expected_regret_usd: Number = Field(None, description="over the best design of each draw; with a demand")
    limits: tuple[LimitSection, ...] | None = Field(None, description="where no design is recommended, costliest first")

    @classmethod
    def of(cls, outcome: DesignOutcome, unit: str) -> Self:
        """From an outcome, and the unit of the objective."""
        design = outcome.design
        more: dict[str, Any] = {}
        if outcome.total_usd is not None:
            more = {"total_usd": Measures(**outcome.total_usd), "expected_regret_usd": outcome.regret_usd}
        cost = "serving_usd_per_million_tokens" if outcome.lifetime_usd is None else "lifetime_usd"
        more[f"{cost}_difference"] = Quantiles.of(outcome.cost_difference)
        if outcome.quantization_loss is not None:
            more["quantization_loss_nats_per_token"] = Quantiles.of(outcome.quantization_loss)
        if outcome.limits:
            more["limits"] = tuple(map(LimitSection.of, outcome.limits))
        return cls(
            n_dense_parameters=design.n_dense,
            tokens=design.tokens,
            tokens_per_total_parameter=design.tokens_per_total_parameter,
            top_k=design.top_k,
            granularity=design.granularity,
            p_feasible=outcome.p_feasible,
            meets_probability=outcome.meets_probability,
            loss_nats_per_token=Quantiles.of(outcome.loss),
            serving_usd_per_million_tokens=Quantiles.of(outcome.serving_usd_per_million_tokens),
            train_usd=Quantiles.of(outcome.train_usd),
            training=TrainingSection.of(outcome.training),
            loss_difference_nats=Quantiles.of(outcome.loss_difference),
            **{f"objective_{unit}": Measures(**outcome.objective)},
            **more,
        )


class CountSection(Section):
    """One expert count: each draw's own optimum, and the best design that is the same in all draws."""

    num_experts: Experts
    p_feasible: Number
    p_best: Number
    expected_regret_nats: Number = Field(None, description="over the draws where the count is feasible")
    expected_regret_usd_per_million_tokens: Number = None
    expected_regret_usd: Number = None
    expected_regret_flop: Number = None
    near_optimal: bool
    n_dense_parameters: Quantiles
    n_active_parameters: Quantiles
    n_total_parameters: Quantiles
    top_k: Quantiles
    granularity: Quantiles
    tokens: Quantiles
    train_flop: Quantiles
    train_usd: Quantiles
    train_gpu_hours: Quantiles
    train_mfu: Quantiles = Field(description="model FLOP over the peak in bfloat16")
    train_days: Quantiles | None = Field(None, description="days of the cluster, where the scenario states one")
    train_kwh: Quantiles | None = Field(None, description="energy, where the power of a GPU is known")
    train_co2_kg: Quantiles | None = Field(None, description="carbon dioxide, where the scenario gives that of a kWh")
    tokens_per_total_parameter: Quantiles
    loss_nats_per_token: Quantiles = Field(description="of the model as it is served")
    quantization_loss_nats_per_token: Quantiles | None = Field(None, description="of the loss, from serving in fewer bits")
    serving_usd_per_million_tokens: Quantiles = Field(description="per million output tokens")
    n_gpus_per_replica: Quantiles
    batch_requests: Quantiles = Field(description="requests decoded together")
    output_tokens_per_s: Quantiles = Field(description="of a replica")
    fleet_tokens_per_s: Quantiles = Field(description="of all GPUs")
    memory_bytes: Quantiles = Field(description="weights and the tokens cached that the scenario gives")
    over_training_ratio: Quantiles = Field(description="tokens over loss-optimal tokens on what is spent")
    size_ratio: Quantiles
    epochs: Quantiles | None = Field(None, description="passes over the unique tokens, where the scenario limits them")
    lifetime_flop: Quantiles | None = Field(None, description="training and serving; with a demand")
    lifetime_usd: Quantiles | None = None
    efficiency_leverage: Quantiles | None = Field(None, description="FLOP of the dense model of equal loss over FLOP")
    design: DesignSection

    @classmethod
    def of(cls, optimum: PerDrawOptimum, outcome: DesignOutcome, unit: str) -> Self:
        """From both, and the unit of the objective."""
        bands: dict[str, Any] = {_KEYS.get(name, name): Quantiles.of(band) for name, band in optimum.bands.items()}
        return cls(
            num_experts=optimum.num_experts,
            p_feasible=optimum.p_feasible,
            p_best=optimum.p_best,
            near_optimal=optimum.near_optimal,
            design=DesignSection.of(outcome, unit),
            **{f"expected_regret_{unit}": optimum.expected_regret},
            **bands,
        )


class PaperSetting(Section):
    """Training settings of the recommended design by one paper's law; null where it gives none."""

    learning_rate: Quantiles
    batch_tokens: Quantiles


class Hyperparameters(Section):
    """Training settings of the recommended design by the laws of the literature."""

    learning_rate_log_sd: Number = Field(description="spread of ln between papers")
    batch_tokens_log_sd: Number
    by_paper: dict[str, PaperSetting]

    @classmethod
    def of(cls, advice: Advice) -> Self:
        """From advice."""
        papers = {
            name: PaperSetting(
                learning_rate=Quantiles.of(setting.learning_rate), batch_tokens=Quantiles.of(setting.batch_tokens)
            )
            for name, setting in advice.settings.items()
        }
        return cls(
            learning_rate_log_sd=advice.learning_rate_log_sd,
            batch_tokens_log_sd=advice.batch_tokens_log_sd,
            by_paper=papers,
        )


class BreakEvenSection(Section):
    """A demand from which another expert count costs least."""

    from_num_experts: Experts
    to_num_experts: Experts
    lifetime_tokens: float
    lifetime_tokens_band: Quantiles = Field(
        description="q05 is 0 where the second is better at any demand, q95 null at none"
    )

    @classmethod
    def of(cls, change: BreakEven) -> Self:
        """From a change."""
        return cls(
            from_num_experts=change.from_num_experts,
            to_num_experts=change.to_num_experts,
            lifetime_tokens=change.tokens,
            lifetime_tokens_band=Quantiles.of(change.band),
        )


class ProblemSection(Section):
    """The decision of one planning problem."""

    source: str = Field(description="paper and equation")
    objective: str = Field(description="quantity that is minimized")
    per_draw_choice_num_experts: Experts | None = Field(description="least expected regret, each draw with its own size")
    recommended_num_experts: Experts | None = Field(description="count of the recommended design; null for none")
    recommended_num_experts_by_measure: CountByMeasure
    closest_num_experts: Experts = Field(description="count of the recommended design, or of the one that comes closest")
    tied_num_experts: tuple[Experts, ...] = Field(
        description="counts that Monte Carlo error cannot tell from the recommended one"
    )
    near_optimal_num_experts: tuple[Experts, ...]
    p_any_feasible: Number
    p_best_is_largest: Probability = Field(description="that the best count is the largest compared: it may lie beyond")
    capability_caution: str | None = Field(
        None, description="where reasoning may lag behind the loss: few tokens per total parameter, with the source"
    )
    usd_per_nat: Number = Field(None, description="worth of a nat per token; with a demand")
    evpi_usd: Number = Field(None, description="expected opportunity loss of deciding now; with a demand")
    num_experts: tuple[CountSection, ...]
    hyperparameters: Hyperparameters
    evppi_usd: dict[str, float] | None = Field(None, description="value of knowing each input, and `law`; with a demand")
    num_experts_at_min_demand: Experts | None = Field(None, description="recommended at 1e8 tokens served")
    break_even: tuple[BreakEvenSection, ...] | None = Field(None, description="changes from there, by increasing demand")

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """From a decision."""
        from bayesmoe.planning.problems import OBJECTIVES

        unit, advice = OBJECTIVES[decision.problem.objective].unit, decision.advice
        demand: dict[str, Any] = {"capability_caution": decision.capability_caution or None}
        if decision.evpi_usd is not None:
            demand |= {
                "usd_per_nat": decision.usd_per_nat,
                "evpi_usd": decision.evpi_usd,
                "evppi_usd": dict(advice.evppi_usd),
                "num_experts_at_min_demand": advice.num_experts_at_min_demand,
                "break_even": tuple(map(BreakEvenSection.of, advice.break_even)),
            }
        pairs = zip(decision.optima, decision.designs, strict=True)
        return cls(
            source=decision.problem.source,
            objective=decision.problem.objective,
            per_draw_choice_num_experts=decision.per_draw_num_experts,
            recommended_num_experts=decision.recommended_num_experts,
            recommended_num_experts_by_measure=CountByMeasure(**decision.recommended_by_measure),
            closest_num_experts=decision.closest.design.num_experts,
            tied_num_experts=decision.tied,
            near_optimal_num_experts=decision.near_optimal,
            p_any_feasible=decision.p_any_feasible,
            p_best_is_largest=decision.p_best_is_largest,
            num_experts=tuple(CountSection.of(optimum, outcome, unit) for optimum, outcome in pairs),
            hyperparameters=Hyperparameters.of(advice),
            **demand,
        )


class WithoutLaw(Section):
    """A problem without one of the averaged laws."""

    per_draw_choice_num_experts: Experts | None
    n_dense_parameters: Quantiles | None = None
    tokens: Quantiles | None = None
    loss_nats_per_token: Quantiles | None = None

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """From the decision without the law."""
        if decision.per_draw_num_experts is None:
            return cls(per_draw_choice_num_experts=None)
        bands = decision.optimum(decision.per_draw_num_experts).bands
        sizes = {_KEYS.get(name, name): Quantiles.of(bands[name]) for name in ("n_dense", "tokens", "loss")}
        return cls(per_draw_choice_num_experts=decision.per_draw_num_experts, **sizes)
