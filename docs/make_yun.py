"""Write ``docs/yun.md``: the headline ratios of Yun et al. 2024 beside those of the demo's fit, and of the illustrative coefficients.

``python docs/make_yun.py``. Accounting, fleet and algorithms are the paper's; runs and latency are not, as neither is published.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "yun.md"

COUNTS = (1, 4, 8, 16, 32)
BUDGETS = (2.12e21, 5.15e21, 5.96e21, 8.18e21)
"""Training FLOP that the paper names."""

CHEAPEST, LOWEST = "cheapest_serving", "lowest_loss"
SERVING = "serving_usd_per_million_tokens"


class Planned:
    """Plans of the paper's two algorithms by base expert count and budget, each made once."""

    def __init__(self, fit: Any) -> None:
        from bayesmoe.planning.reading import read_scenario

        self.fit = fit
        shipped = read_scenario(ROOT / "models" / "scenarios" / "yun-2024.toml")
        # The paper's accounting: top-2, and FLOP of the backbone.
        self.shipped = dataclasses.replace(
            shipped,
            architecture=dataclasses.replace(shipped.architecture, top_k=2),
            problems=(CHEAPEST, LOWEST),
        )
        self.made: dict[tuple[int, float], Any] = {}

    def scenario(self, base: int, budget: float) -> Any:
        """The paper's setting."""
        return dataclasses.replace(
            self.shipped,
            training=dataclasses.replace(self.shipped.training, budget_flop=budget, flop_rule="6 n_dense tokens"),
            choices=dataclasses.replace(self.shipped.choices, num_experts=COUNTS, baseline_num_experts=base),
        )

    def plan(self, base: int, budget: float) -> Any:
        """A plan."""
        from bayesmoe.planning.planner import plan

        if (base, budget) not in self.made:
            self.made[base, budget] = plan(self.fit, self.scenario(base, budget))
        return self.made[base, budget]

    def solved(self, problem: str, name: str, count: int, *, base: int, budget: float) -> np.ndarray:
        """A quantity of an expert count's solution, by draw; NaN where there is none."""
        return self.plan(base, budget)[name].sel(problem=problem, num_experts=count).values

    def optimal(self, name: str, count: int, budget: float) -> np.ndarray:
        """A quantity at an expert count's loss optimum, by draw."""
        return self.plan(4, budget)[f"loss_optimal_{name}"].sel(num_experts=count).values

    def surface(self, budget: float) -> Any:
        """The candidates under every draw."""
        from bayesmoe.planning.build_surface import surfaces

        (here,) = surfaces(self.fit, self.scenario(4, budget)).values()
        return here

    def flop_of_loss(self, count: int, budget: float, *, of: int | None = None, target: Any = None) -> np.ndarray:
        """Least FLOP with which an expert count has another's lowest loss on a budget, or a loss that is given, over that budget."""
        import jax.numpy as jnp

        from bayesmoe.planning.search import bisect

        here = self.surface(budget)
        if of is not None:
            target = here.loss(here.loss_optimal())[:, COUNTS.index(of)]
        one = here.candidate(COUNTS.index(count))

        def too_high(away: Any) -> Any:
            part = one.on_budget(budget * jnp.exp(away)[:, None])
            return part.loss(part.loss_optimal())[:, 0] > target

        ends = (jnp.full(target.shape, np.log(end)) for end in (1e-3, 1e3))
        _, found = bisect(too_high, *ends, halvings=30)
        return np.exp(np.asarray(found))

    def flop_at_equal_cost(self, count: int, base: int, budget: float) -> np.ndarray:
        """FLOP with which a model that serves as cheaply as the base's optimum has its loss, over the budget."""
        import jax.numpy as jnp

        here = self.surface(budget)
        at = COUNTS.index(count)
        size = jnp.log(self.solved(LOWEST, "n_dense", count, base=base, budget=budget))[:, None]
        threshold = self.plan(base, budget)["threshold_loss"].values[:, None]
        tokens = here.candidate(at).tokens_of_loss(size, threshold)
        return np.asarray(6.0 * jnp.exp(size) * tokens / budget)[:, 0]


def with_coefficients(fit: Any, name: str) -> Any:
    """The same fit with published coefficients in every draw."""
    from bayesmoe.inference.store import FitInfo, reference_of_fit

    law = FitInfo.read(fit).law
    certain, posterior = fit.copy(), fit["posterior"].to_dataset()
    for coordinate, value in law.from_paper(law.coefficients(name), reference_of_fit(fit)).items():
        posterior[coordinate] = posterior[coordinate] * 0.0 + float(value)
    certain["posterior"] = posterior
    return certain


def band(values: np.ndarray, style: str) -> str:
    """Median and 90% band over the draws in which there is a value, and in how many there is one."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "none feasible"
    low, median, high = (format(value, style) for value in np.quantile(known, [0.05, 0.5, 0.95]))
    some = f" (of {100 * len(known) / len(values):.0f}%)" if len(known) < 0.995 * len(values) else ""
    return f"{median} ({low} to {high}){some}"


def over(values: list[np.ndarray], style: str = ".0%") -> str:
    """Bands at the two ends of the paper's range of budgets, or at one."""
    return "; ".join(band(one, style) for one in values)


def shares_of_best(plans: Planned, budget: float) -> str:
    """How often each expert count is the cheapest to serve."""
    from bayesmoe.decisions.risk import risk

    p_best = risk(plans.plan(4, budget))["p_best"].sel(problem=CHEAPEST)
    return ", ".join(f"{count}: {p_best.sel(num_experts=count).item():.0%}" for count in COUNTS)


def rows(plans: Planned) -> list[tuple[str, str, str, str]]:
    """Ratio, budgets, the paper's number, ours."""
    small, named, medium, large = BUDGETS
    ends, upper = (small, medium), (named, large)

    def cost(count: int, base: int, budget: float) -> np.ndarray:
        return plans.solved(CHEAPEST, SERVING, count, base=base, budget=budget) / plans.optimal(SERVING, base, budget)

    def active(base: int, budget: float) -> np.ndarray:
        return plans.solved(CHEAPEST, "n_active", 8, base=base, budget=budget) / plans.optimal("n_active", base, budget)

    def size(count: int, base: int) -> np.ndarray:
        return plans.solved(LOWEST, "n_dense", count, base=base, budget=named) / plans.optimal("n_dense", base, named)

    def ratio(problem: str, count: int) -> np.ndarray:
        return plans.solved(problem, "size_ratio", count, base=4, budget=named)

    eight = plans.solved(LOWEST, "loss", 8, base=4, budget=named)

    def at(budgets: tuple[float, ...]) -> str:
        return "; ".join(f"{budget:.3g}" for budget in budgets)

    return [
        (
            "FLOP of 16 experts over 4 at equal loss",
            at((1e20, 1e21, 1e22)),
            "24% to 43%, falling with budget; budgets not stated",
            over([plans.flop_of_loss(16, budget, of=4) for budget in (1e20, 1e21, 1e22)]),
        ),
        (
            "the same turned round: extra training of 4 experts for the loss of 16",
            at(ends),
            "2.5 to 3.5 times (abstract), 2.4 to 4.3 times (introduction)",
            over([plans.flop_of_loss(4, budget, of=16) for budget in ends], ".1f"),
        ),
        (
            "more FLOP that 4 experts need for the loss of 8 that cost no more to serve",
            at((named,)),
            "52%",
            over([plans.flop_of_loss(4, named, target=eight) - 1.0]),
        ),
        *(
            (
                f"serving cost of over-trained {count} experts over loss-optimal 4, at equal loss",
                at(ends),
                said,
                over([cost(count, 4, budget) for budget in ends]),
            )
            for count, said in ((8, "48% to 51%"), (16, "47% to 52%"), (32, "worse than 16"))
        ),
        (
            "probability of being the cheapest to serve at no higher a loss than loss-optimal 4",
            at((named,)),
            "8 or 16 over-trained; 4 or 8 in the abstract, all at their loss optimum",
            shares_of_best(plans, named),
        ),
        (
            "serving cost of 8 experts over loss-optimal dense, at equal loss",
            at(upper),
            "32% to 38%",
            over([cost(8, 1, budget) for budget in upper]),
        ),
        (
            "active parameters of 8 experts over loss-optimal dense, at equal loss",
            at(ends),
            "23% to 28%",
            over([active(1, budget) for budget in ends]),
        ),
        (
            "active parameters of 8 experts over loss-optimal 4, at equal loss",
            at(ends),
            "21% to 25%",
            over([active(4, budget) for budget in ends]),
        ),
        (
            "training FLOP that 16 experts save at the loss of loss-optimal 4, at no higher serving cost",
            at(ends),
            "up to 68%; base and budgets not stated",
            over([1.0 - plans.flop_at_equal_cost(16, 4, budget) for budget in ends]),
        ),
        *(
            (
                f"size of {count} experts over loss-optimal dense, at no higher serving cost",
                at((named,)),
                "84%" if count == 8 else "37% to 125%",
                over([size(count, 1)]),
            )
            for count in (4, 8, 16, 32)
        ),
        *(
            (
                f"size of {count} experts over loss-optimal 4, at no higher serving cost",
                at((named,)),
                "31% to 70%",
                over([size(count, 4)]),
            )
            for count in (8, 16, 32)
        ),
        (
            "quality first: size of 32 experts over their own loss optimum",
            at((named,)),
            "30% (abstract: 16 and 32 experts 70% to 85% smaller)",
            over([ratio(LOWEST, 32)]),
        ),
        (
            "cost first: size of 16 experts over their own loss optimum",
            at((named,)),
            "16%",
            over([ratio(CHEAPEST, 16)]),
        ),
    ]


def written(of_fit: list[tuple[str, str, str, str]], of_set: list[tuple[str, str, str, str]], draws: int) -> str:
    """The page."""
    table = [f"| {' | '.join((*ours, matched[-1]))} |" for ours, matched in zip(of_fit, of_set, strict=True)]
    return "\n".join(
        [
            "# Yun's headline ratios",
            "",
            "Made by `python docs/make_yun.py`: ratios that Yun et al. 2024 (arXiv:2404.02852) report, and what plans with the paper's accounting say",
            "(`6 n_dense tokens`, top-2, replicas of up to eight A100-40GB; the base is the 4-expert model unless another is named). Ours: median and 90%",
            "band, budgets in the order given; where a share of draws stands behind, the others have no solution.",
            "",
            f"- demo: {draws:,} draws of the demo's fit of Yun's law, to 80 runs simulated from *another* paper's law (Ludziejewski et al. 2025) on Yun's grid.",
            "  Experts gain less there, so ratios at equal loss are nearer to one; they are no evidence on the paper's.",
            "- matched: Yun's law with the illustrative coefficients, which this project matched to the paper's ratios of FLOP and of active parameters; its",
            "  bands are those of serving alone.",
            "",
            "Nothing here is a test: the paper prints no coefficients and its latency tables are unpublished. Costs are the calibrated roofline's, where they",
            "rise less with total parameters than in the paper (close to linear in size there): more than 16 experts go on to gain, and the paper's do not.",
            "The paper's own two ratios of cost are not of one cost in proportion to one size. *Active* parameters are read literally.",
            "",
            "| ratio | training FLOP | paper | demo | matched |",
            "|---|---|---|---|---|",
            *table,
            "",
        ]
    )


def main() -> None:
    """Fit, plan and write."""
    import jax

    from bayesmoe.files import write_text
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.spec import read_fit_spec

    jax.config.update("jax_enable_x64", True)
    demo = fit_spec(read_fit_spec(ROOT / "models" / "simulated-yun-grid.toml"))
    sizes = demo["posterior"].sizes
    of_fit, of_set = (rows(Planned(each)) for each in (demo, with_coefficients(demo, "illustrative")))
    write_text(OUT, written(of_fit, of_set, sizes["chain"] * sizes["draw"]))


if __name__ == "__main__":
    main()
