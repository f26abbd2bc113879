"""Captions of all figures: what is drawn, and what its bands are."""

from __future__ import annotations

FIGURES = {
    "best_experts": "Distribution of the optimal expert count: the share of posterior draws in which each count wins.",
    "over_training": "Over-training ratio: tokens chosen over the tokens of the loss optimum at the same budget. Line: 90% band.",
    "differences": (
        "Loss and cost of the best design of every expert count, less those of the recommended design in the same draw. Point: median; line: 90% band; "
        "hollow: below the required probability. Above the dashed line another count is worse."
    ),
    "mfu_by_experts": (
        "Model FLOP utilization in training by expert count and width, in the fastest layout that fits the cluster. Line: median; band: 90% of the "
        "calibration's draws."
    ),
    "total_cost": "Expected cost of training and of serving the whole demand by expert count. Line: 90% band of their sum. Star: recommended; in brackets: below the required probability.",
    "loss_by_compute": (
        "The runs, and the law's loss for the recommended architecture grown to its size, with 90% of the draws, without the noise of a run. Dashed: the loss to reach, "
        "with its band. Where there are no runs, the law extrapolates."
    ),
    "loss_by_experts": "Loss on the training budget by expert count, at the loss optimum and for each problem. Line: 90% band.",
    "regret_map": "Expected regret of every candidate size, in USD. Ringed: meets its constraints with the required probability. Star: the recommended design.",
    "next_run_value": "Expected value of each candidate run (EVSI) against its cost, with two standard errors. Above the dashed line it pays.",
    "speedup": (
        "Speedup of one recipe over another by training compute: how many times the compute the other needs for the same loss. Line: median; bands: 50 and 90% of the draws, "
        "without the law's own error beyond the runs. Gray: compute of the runs that both have."
    ),
    "influence": (
        "Expected cost of what is recommended on the draws in which an input lies in its lowest tenth, and in its highest; beside a bar the input's median there, and the "
        "expert count where it is another. Both are means over a tenth of the draws, and not bands."
    ),
    "tornado": "Cost of the recommended design with each input of the scenario at the low and the high end of its 90% band, all others as they are.",
    "fit_to_runs": "Residuals of the runs against the posterior predictive. Band: 90% of it; about nine in ten runs should lie inside.",
    "prior_posterior": "Prior against posterior. Where the two agree, the runs are uninformative and the plan depends on the prior.",
    "trace": "Trace of every chain. All should look like the same noise.",
    "rank": "Rank plots, as differences from uniform. Chains that agree stay near zero, without trend: a p below 0.01 says that they do not agree.",
    "loss_by_tokens": (
        "Loss by expert count, training tokens and size, at any training cost (Yun's Figure 1). Line: posterior median; band: 90% of the draws, "
        "of the law alone, without the noise of a run. Rings: the runs. Where there are none, the law extrapolates."
    ),
    "cheapest_by_budget": (
        "Cheapest serving at no higher a loss than the loss-optimal baseline's on the same budget, and the size over the count's own loss-optimal size "
        "(Yun's Figure 5). Point: median; line: 90% band, over the draws in which the count can do so; hollow: fewer than nine of ten."
    ),
    "lowest_loss_by_budget": (
        "Lowest loss that costs no more to serve than the loss-optimal baseline on the same budget, and the size over the count's own loss-optimal size "
        "(Yun's Figure 6). Point: median; line: 90% band, over the draws in which the count can do so; hollow: fewer than nine of ten."
    ),
    "leverage_surface": (
        "Efficiency leverage: how many times the compute of an MoE a dense model of equal loss needs, by activation ratio and granularity. Left: posterior "
        "median. Middle and right: slices; line: median, band: 90% of the posterior, of the law alone. Compute beyond 6e20 FLOP extrapolates."
    ),
    "over_training_by_budget": (
        "Over-training ratio by expert count and training budget: tokens chosen over the tokens of the loss optimum at the same budget. Point: median; line: "
        "90% band, over the draws in which the count can meet the threshold; hollow: fewer than nine of ten."
    ),
    "frontier": (
        "Frontier of serving cost and loss on the training budget: the lowest loss of any size at no higher serving cost. Line: median of the count, with 90% of the draws; "
        "dotted: median of the best of all counts. A panel says in how many draws its count has the lowest, where that is most."
    ),
    "calibration": (
        "Calibration of a backtest: the share of the held-out larger runs that lay in a forecast's central interval, by the interval's nominal level. "
        "Below the diagonal a forecaster is overconfident. Gray: 90% of what a perfect forecaster of as many independent runs would show; correlated errors spread "
        "wider. The law alone is the one that PSIS-LOO picks; Huber + bootstrap is today's practice with it."
    ),
    "law_weights": (
        "Weights of averaged laws by scale: by forward validation on the runs up to a training compute. Point: weight; line: its 90% band, by a Bayesian "
        "bootstrap of the splits. It uses no run beyond."
    ),
    "prior_predictive": (
        "Prior predictive of each law around a typical run. Line: prior median; band: 90% of the prior; dotted: median by tokens."
    ),
}
"""By name."""

_DEMO = "From the demo: Yun's law fitted to 80 runs simulated from Ludziejewski et al. 2025's law, planned for Yun's fleet."
_FORECAST = "Laws fitted to parts of the demo's 80 runs, simulated from Ludziejewski et al. 2025's law: that law is the truth here, up to embeddings."
_TIAN = (
    "Tian's law fitted to 64 leverages simulated from the paper's published coefficients with 5% noise, as its own are not public: the band is what so many such "
    "runs would leave open, not the paper's uncertainty, which is not stated."
)
_CLUSTER = "The shipped calibration of training throughput, fitted to published measurements, on 2,048 H100-SXM; nothing in it is simulated."
_RECIPES = "Chinchilla's law fitted to 24 runs of two recipes, simulated from Besiroglu et al. 2024's coefficients: of the second, parameters count as 1.3 times as many, so that its speedup is 1.3."
_PRIOR = "Priors of this project; no runs."

SECTIONS = {
    "The plan": {
        "best_experts": _DEMO,
        "over_training": _DEMO,
        "over_training_by_budget": _DEMO,
        "differences": _DEMO,
        "total_cost": _DEMO,
        "loss_by_compute": _DEMO,
        "mfu_by_experts": _CLUSTER,
        "frontier": _DEMO,
        "loss_by_experts": _DEMO,
        "regret_map": _DEMO,
        "next_run_value": _DEMO,
        "influence": _DEMO,
        "tornado": _DEMO,
    },
    "Yun et al. 2024's figures, with bands": {
        "loss_by_tokens": _DEMO,
        "cheapest_by_budget": _DEMO,
        "lowest_loss_by_budget": _DEMO,
    },
    "Tian et al. 2025's surface, with bands": {"leverage_surface": _TIAN},
    "Recipes": {"speedup": _RECIPES},
    "Forecasts": {"calibration": _FORECAST, "law_weights": _FORECAST},
    "The fit": {"fit_to_runs": _DEMO, "prior_posterior": _DEMO, "trace": _DEMO, "rank": _DEMO},
    "The laws": {"prior_predictive": _PRIOR},
}
"""Gallery: by section, its figures and where each one's numbers come from."""


def gallery_page() -> str:
    """Markdown page of the gallery: every picture with its caption and its origin."""
    lines = [
        "# Figures",
        "",
        "Made by `bayesmoe figures`, never by hand. Each is also there as SVG. Nothing here is about real models: all runs are simulated.",
        "",
    ]
    for title, figures in SECTIONS.items():
        lines += [f"## {title}", ""]
        for name, origin in figures.items():
            words = name.replace("_", " ")
            lines += [f"![{words}]({name}.png)", "", f"**{words}** ([SVG]({name}.svg)). {FIGURES[name]} {origin}", ""]
    return "\n".join(lines)
