"""The planner finds the answers that papers print: certain fits of their coefficients in, the plan's choices out."""

from __future__ import annotations

import dataclasses
import functools
import json
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from made_up import write_info

from bayesmoe.architecture import Family
from bayesmoe.costs.cost import latency_of
from bayesmoe.costs.workload import ServingSpec, TrainingSpec
from bayesmoe.decisions.risk import risk
from bayesmoe.inference.spec import DataSpec, FitSpec, LawSpec
from bayesmoe.laws import Reference, law_named
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.planning.problems import leverage
from bayesmoe.planning.scenario import ArchitectureSpec, Candidate, ChoicesSpec, LimitsSpec, Scenario
from bayesmoe.planning.surface import DesignSurface

ANCHORS = json.loads((Path(__file__).parents[2] / "anchors.json").read_text())
RUN = {
    "n_dense": 1e9,
    "n_active": 1e9,
    "n_total": 1e9,
    "tokens": 2e10,
    "num_experts": 1.0,
    "top_k": 1.0,
    "shared_experts": 0.0,
    "activation_ratio": 0.5,
}
SOLVER = 1e-4
"""Relative. A solution lies on no closed form: sizes are told apart to 2e-5 (a 1,800th of the grid's step); 1e-5 in the anchors is theirs."""


def anchors(law, *outputs):
    """Anchors of a law, those of some outputs where they are named."""
    return [one for one in ANCHORS if one["law"] == law and (not outputs or one["output"] in outputs)]


def derived(found):
    """Those that were recomputed for the catalog."""
    return [one for one in found if one["note"].startswith("derived")]


def each(found):
    """Parametrize over anchors; the default suite asks for the first and the last of each output of each law."""
    numbers = {}
    for number, one in enumerate(found):
        numbers.setdefault((one["law"], one["output"]), []).append(number)
    ends = {end for each in numbers.values() for end in (each[0], each[-1])}
    marked = [one if number in ends else pytest.param(one, marks=pytest.mark.slow) for number, one in enumerate(found)]
    return pytest.mark.parametrize("anchor", marked, ids=lambda one: f"{one['law']}-{one['output']}-{one['value']:.4g}")


def paper_values(coefficients):
    """Coefficients in a law's own names: some anchors hold logarithms."""
    renamed = {"lam": "lambda"}
    return {
        renamed.get(name, name.removeprefix("ln_")): float(np.exp(value)) if name.startswith("ln_") else value
        for name, value in coefficients.items()
    }


def certain(law, coefficients, *, draws=1):
    """A fit whose every draw has these coefficients."""
    known = law_named(law)
    reference = Reference({name: RUN[name] for name in known.covariates}, 16.0)
    center = known.from_paper(coefficients, reference) | {"noise_scale": 0.005}
    posterior = {name: (("chain", "draw"), np.full((1, draws), float(value))) for name, value in center.items()}
    constant = {f"reference_{name}": value for name, value in reference.run.items()} | {"reference_gain_experts": 16.0}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(posterior), "constant_data": xr.Dataset(constant)})
    spec = FitSpec(data=DataSpec(file="runs.csv"), law=LawSpec(name=law))
    write_info(tree, spec, data_origin="a paper", data_simulated=True)
    return tree


def scenario_for(budget_flop, problem="loss_optimal", *, counts=(1,), top_k=None, rule="6 n_active tokens", **sections):
    """A scenario of one problem; the first expert count sets the bar."""
    return Scenario(
        training=TrainingSpec(budget_flop=budget_flop, flop_rule=rule),
        choices=ChoicesSpec(num_experts=counts, baseline_num_experts=counts[0], top_k=top_k),
        problems=(problem,),
        **{"serving": ServingSpec(), **sections},
    )


def planned(law, coefficients, scenario):
    """A plan of the one problem and the one draw."""
    return plan(certain(law, coefficients), scenario).isel(problem=0, sample=0)


def near(found, anchor, rtol=None):
    """Whether a value lies within the tolerance of an anchor, its own or the one given where that is wider."""
    return abs(float(found) / anchor["value"] - 1.0) <= max(anchor["rtol"], rtol or 0.0)


# Dense laws: Hoffmann, Besiroglu, Gadre, and the line of Yun's dense models.


def dense_optimum(coefficients, budget_flop):
    """Size and tokens of a plan with the dense model alone."""
    return _dense_optimum(tuple(sorted(coefficients.items())), budget_flop)


@functools.cache
def _dense_optimum(coefficients, budget_flop):
    found = planned("chinchilla", dict(coefficients), scenario_for(budget_flop))
    assert found["feasible"].item()
    return found["n_dense"].item(), found["tokens"].item()


def size_exponent(coefficients):
    """Exponent of the size in compute, over the two decades to 1e22 FLOP."""
    (small, _), (large, _) = (dense_optimum(coefficients, budget) for budget in (1e20, 1e22))
    return np.log(large / small) / np.log(1e2)


def dense_answer(anchor, coefficients):
    """What an anchor of a dense law asks for."""
    if anchor["output"] == "a_exponent":
        return size_exponent(coefficients)
    size, tokens = dense_optimum(coefficients, anchor["inputs"].get("train_flop", 1e21))
    return {"N_opt": size, "D_opt": tokens, "tokens_per_param": tokens / size, "M_opt": tokens / size}[anchor["output"]]


CHINCHILLA = [*anchors("hoffmann2022_approach3"), *anchors("besiroglu2024")]
DENSE = [one for one in CHINCHILLA if one["output"] != "loss"]


@each(DENSE)
def test_the_dense_plan_is_the_papers_compute_optimum(anchor):
    """Within the anchors' own tolerance, 1e-6: the optimum on a budget is a root, found to rounding."""
    assert near(dense_answer(anchor, paper_values(anchor["coefficients"])), anchor)


@each(DENSE)
def test_a_tokens_exponent_a_hundredth_off_is_another_optimum(anchor):
    values = paper_values(anchor["coefficients"])
    assert not near(dense_answer(anchor, values | {"beta": 1.01 * values["beta"]}), anchor)


def test_rounded_coefficients_are_another_plan():
    """The trap of the printed digits: 93 tokens a parameter in place of 59 at Gopher's budget."""
    exact, rounded = anchors("hoffmann2022_approach3", "tokens_per_param")
    assert not near(dense_answer(exact, paper_values(rounded["coefficients"])), exact, 0.5)


@each(anchors("gadre2024", "M_opt"))
def test_gadres_tokens_per_parameter_are_the_same_on_any_budget(anchor):
    """Gadre's law is Chinchilla's with one exponent for both, ``A = a/6^eta``."""
    c = anchor["coefficients"]
    values = {"E": c["E"], "A": c["a"] / 6 ** c["eta"], "B": c["b"] / 6 ** c["eta"]}
    for budget in (1e20, 1e22):
        size, tokens = dense_optimum(values | {"alpha": 2 * c["eta"], "beta": 2 * c["eta"]}, budget)
        assert near(tokens / size, anchor)


def on_the_line(line, *, gained=0.0):
    """A dense law (Yun's Eq. 1) whose optimum is ``N = G (C/6)^a`` (Eq. 3); alpha and the level are free, and do not matter."""
    alpha, a = 0.375, line["a"] + gained
    beta = alpha * a / (1 - a)
    amplitude = 636.0
    return {
        "E": 1.01,
        "A": amplitude,
        "B": amplitude * alpha / beta / line["G"] ** (alpha + beta),
        "alpha": alpha,
        "beta": beta,
    }


def line_answer(anchor, coefficients):
    """What an anchor of the line asks for."""
    if anchor["output"] == "gamma_over_alpha":
        exponent = size_exponent(coefficients)
        return exponent / (1 - exponent)
    return dense_answer(anchor, coefficients)


@each(anchors("yun2024_dense_line"))
def test_yuns_dense_models_are_planned_on_their_line(anchor):
    """Within 1e-4, the precision of the two printed sizes, or 1e-5 where the line is recomputed."""
    assert near(line_answer(anchor, on_the_line(anchor["coefficients"])), anchor)


@each(anchors("yun2024_dense_line"))
def test_the_rounded_exponent_of_the_line_is_another_plan(anchor):
    """.583 in place of .58325 moves the size by 1.2% (and, through gamma/alpha, by .1%)."""
    assert not near(line_answer(anchor, on_the_line(anchor["coefficients"], gained=-0.00025469)), anchor)


@pytest.mark.parametrize(("rule", "missed"), [("6 n_dense tokens", False), ("6 n_active tokens", True)])
def test_the_illustrative_set_has_yuns_dense_sizes_only_with_the_papers_flop(rule, missed):
    """Within 5%: this project matched the set to the paper's headlines. Where active parameters are counted, 8 experts are 14% smaller."""
    fit = certain("yun", law_named("yun").coefficients("illustrative"))
    for published in anchors("yun2024_dense_line", "N_opt")[:2]:
        asked = scenario_for(published["inputs"]["train_flop"], counts=(1, 8), top_k=(2,), rule=rule)
        (here,) = surfaces(fit, asked).values()
        dense, routed = np.exp(here.loss_optimal())[0]
        assert near(dense, published, 0.05)
        assert near(routed, published, 0.05) != missed


# Ludziejewski: a family with embeddings, and a memory.

VOCABULARY, WIDTH_PER_BLOCK = 50257, 64


@dataclasses.dataclass(frozen=True)
class WithEmbeddings(Family):
    """Ludziejewski's sizes: ``n_active = 2 d V + 13 n_b d^2`` and ``n_total = 2 d V + (4 + 9 E) n_b d^2`` with ``n_b = d/64``.

    The backbone is ``13 n_b d^2``, of which nine thirteenths are in experts; the planner needs ``run`` and ``train_flop_per_token`` only.
    """

    moe_share: float = 9 / 13
    top_k: float = 1.0

    def run(self, n_dense, tokens, num_experts):
        found = super().run(n_dense, tokens, num_experts)
        return found | {name: found[name] + self.embeddings(n_dense) for name in ("n_active", "n_total")}

    def train_flop_per_token(self, n_dense, num_experts, rule="6 n_active tokens"):
        return super().train_flop_per_token(n_dense, num_experts) + 6.0 * self.embeddings(n_dense)

    @staticmethod
    def embeddings(n_dense):
        """Parameters of both matrices."""
        return 2.0 * VOCABULARY * (WIDTH_PER_BLOCK * n_dense / 13.0) ** (1 / 3)


class EmbeddedSpec(ArchitectureSpec):
    """Architectures of that family."""

    def family(self, top_k=None, granularity=None):
        return WithEmbeddings()


# n_b d = d^2/64 = mu (13 n_b d^2)^(2/3): the planner's own rule for the cache, exactly.
EMBEDDED = EmbeddedSpec(moe_share=9 / 13, top_k=1, width_times_layers=(WIDTH_PER_BLOCK / 13) ** (2 / 3) / WIDTH_PER_BLOCK)
JOINT = anchors("ludziejewski2025")[0]["coefficients"]
COUNTS = (1, 2, 4, 8, 16, 32)


@each(anchors("ludziejewski2025_size"))
def test_the_family_has_ludziejewskis_sizes(anchor):
    width = anchor["inputs"]["d_model"]
    backbone = 13.0 * width**3 / WIDTH_PER_BLOCK
    run = WithEmbeddings().run(backbone, 1e10, anchor["inputs"]["num_experts"])
    assert near(run[anchor["output"]], anchor)
    assert near(WithEmbeddings().train_flop_per_token(backbone, 4) / 6.0, {"value": run["n_active"], "rtol": 1e-12})


@functools.cache
def optimum_plan(train_flop, *, a=JOINT["a"]):
    """A plan of the lowest loss on a budget; embeddings do not matter to it, and the package's own family has none."""
    architecture = ArchitectureSpec(moe_share=9 / 13, top_k=1)
    asked = scenario_for(train_flop, counts=COUNTS, architecture=architecture)
    return planned("ludziejewski", JOINT | {"a": a}, asked)


def table_1(anchor, *, prefix="", **changes):
    """A cell of Table 1, or the loss there."""
    name = {"N_opt": "n_active", "D_opt": "tokens", "loss_at_optimum": "loss"}[anchor["output"]]
    found = optimum_plan(anchor["inputs"]["train_flop"], **changes)
    return found[prefix + name].sel(num_experts=anchor["inputs"]["num_experts"]).item()


TABLE_1 = anchors("ludziejewski2025", "N_opt", "D_opt", "loss_at_optimum")
PRINTED = [one for one in TABLE_1 if one["output"] != "loss_at_optimum"]


@each(TABLE_1)
def test_ludziejewskis_table_1_is_the_plans_loss_optimum(anchor):
    """Within the anchors' tolerance: 1.5%, 3% for sizes printed to two digits, 1e-6 for losses."""
    assert near(table_1(anchor), anchor)
    assert near(table_1(anchor, prefix="loss_optimal_"), anchor)


def test_table_1_is_within_a_percent_where_it_is_printed_so_finely():
    """All but five cells of 36; three of these are printed to two digits, the others are off by 1.1%: the paper had more digits of its coefficients."""
    off = {(one["inputs"]["train_flop"], one["value"]): abs(table_1(one) / one["value"] - 1) for one in PRINTED}
    assert len(off) == 36
    assert {cell for cell, miss in off.items() if miss > 0.01} == {
        (1e20, 1.7e9),
        (1e20, 1.5e9),
        (1e20, 1.2e9),
        (1e20, 1.39e10),
        (1e21, 5e9),
    }


def test_a_tenth_more_of_the_size_term_is_another_table_1():
    assert sum(near(table_1(one, a=1.1 * JOINT["a"]), one) for one in TABLE_1) < len(TABLE_1) / 4


@functools.cache
def memory_plan(train_flop, memory_bytes, *, a=JOINT["a"]):
    """The whole plan of one cell of Table 2: 16,384 cached tokens, weights and cache of two bytes each."""
    asked = scenario_for(
        train_flop,
        "memory_limited",
        counts=COUNTS,
        architecture=EMBEDDED,
        limits=LimitsSpec(memory_bytes=memory_bytes, cached_tokens=16384.0),
    )
    return plan(certain("ludziejewski", JOINT | {"a": a}), asked)


def test_embeddings_do_not_move_table_1():
    """On ``6 n_active tokens`` the optimum does not know what of the size is embeddings: where no memory binds, the same to the solver's 1e-4.

    Solved sizes only: ``Landscape.loss_optimal`` takes FLOP a token to be in proportion to the backbone, as in every family of the package.
    """
    found = memory_plan(1e21, 640e9).isel(problem=0, sample=0)
    assert (found["memory_bytes"] < 0.5 * 640e9).all()
    for name in ("n_active", "tokens"):
        np.testing.assert_allclose(found[name], optimum_plan(1e21)[name], rtol=SOLVER)


TABLE_2 = {
    (1e21, 24e9): 16, (1e21, 80e9): 32, (1e21, 640e9): 32,
    (1e22, 24e9): 4, (1e22, 80e9): 16, (1e22, 640e9): 32,
    (1e23, 24e9): 1, (1e23, 80e9): 8, (1e23, 640e9): 32,
    (1e24, 24e9): 1, (1e24, 80e9): 1, (1e24, 640e9): 16,
}  # fmt: skip
"""arXiv:2502.05172, Table 2, as in the reference catalog; 32 stands for "32 or more"."""

MISSED = {(1e21, 24e9): 32, (1e23, 80e9): 4, (1e24, 640e9): 8}
"""Cells that no recomputation from the printed coefficients gives, and what it gives; one step away each."""

HELD_OUT = 0.007
"""Nats. The paper's own error on held-out runs is 0.0039 to 0.0062; the planner's default tolerance is 0.01."""


def best_count(cell, **changes):
    """Expert count of lowest loss."""
    return int(memory_plan(*cell, **changes)["loss"].isel(problem=0, sample=0).idxmin("num_experts"))


@each(anchors("ludziejewski2025_memory"))
def test_the_anchored_cells_of_table_2_are_the_plans(anchor):
    inputs = anchor["inputs"]
    assert (inputs["kv_tokens"], inputs["num_experts_choices"]) == (16384, list(COUNTS))
    assert best_count((inputs["train_flop"], inputs["memory_bytes"])) == anchor["value"]


def test_nine_of_twelve_cells_of_table_2_are_the_plans_best():
    assert {cell: best_count(cell) for cell in TABLE_2} == TABLE_2 | MISSED


@pytest.mark.parametrize("cell", MISSED)
def test_the_other_cells_are_in_the_near_optimal_set(cell):
    found = memory_plan(*cell)
    assert risk(found)["near_optimal"].isel(problem=0).sel(num_experts=TABLE_2[cell]).item()
    loss = found["loss"].isel(problem=0, sample=0)
    assert loss.sel(num_experts=TABLE_2[cell]).item() - loss.min().item() < HELD_OUT


@pytest.mark.parametrize("train_flop", [1e22, 1e23, 1e24])
def test_solutions_fill_a_memory_that_binds_and_no_more(train_flop):
    found = memory_plan(train_flop, 24e9).isel(problem=0, sample=0)
    share = found["memory_bytes"].values / 24e9
    assert (share <= 1.0).all()
    np.testing.assert_allclose(share, 1.0, atol=SOLVER)


def test_three_tenths_more_of_the_size_term_is_another_table_2():
    right = [cell for cell in TABLE_2 if cell not in MISSED]
    assert sum(best_count(cell, a=1.3 * JOINT["a"]) == TABLE_2[cell] for cell in right) < 8


# Sardana: training and serving together.


def lifetime(task, coefficients, *, prompts=1e-9, served=None, named_bar=False):
    """Plan of the cheapest life of a model as good as the loss-optimal one of the task's size; that model's own tokens and FLOP.

    Prompts are next to nothing, so that an output token is ``2 n_active`` FLOP. The bar is the base's lowest loss on the reference's budget,
    or that loss by number.
    """
    c, size = coefficients, task["n_total_ref"]
    # alpha A N^-alpha = beta B D^-beta: the first-order condition of the loss optimum.
    tokens = (c["beta"] * c["B"] * size ** c["alpha"] / (c["alpha"] * c["A"])) ** (1 / c["beta"])
    served = served or task["inference_tokens"]
    loss = c["E"] + c["A"] * size ** -c["alpha"] + c["B"] * tokens ** -c["beta"]
    found = planned(
        "chinchilla",
        coefficients,
        scenario_for(
            6.0 * size * tokens,
            "lifetime_flop",
            serving=ServingSpec(prompt_tokens=prompts, output_tokens=1.0, lifetime_tokens=served),
            limits=LimitsSpec(loss_nats=loss if named_bar else None),
        ),
    )
    assert found["loss_optimal_n_dense"].item() == pytest.approx(size, rel=1e-9)
    assert found["loss"].item() == pytest.approx(loss, rel=1e-9)
    return found, tokens, 6.0 * size * tokens + 2.0 * size * served


def lifetime_answer(anchor, **changes):
    """What an anchor of Sardana's asks for."""
    found, tokens, reference_flop = lifetime(anchor["inputs"], paper_values(anchor["coefficients"]), **changes)
    return {
        "N_opt": found["n_dense"].item(),
        "D_opt": found["tokens"].item(),
        "flop_saving": 1.0 - found["lifetime_flop"].item() / reference_flop,
        "token_ratio": found["tokens"].item() / tokens,
    }[anchor["output"]]


@each(anchors("sardana2023"))
def test_the_cheapest_life_is_sardanas(anchor):
    """Recomputed sizes within the solver's 1e-4; printed ones within the anchors' 3% to 12% (two digits of a saving)."""
    assert near(lifetime_answer(anchor), anchor, SOLVER)


def test_a_bar_that_is_given_is_the_bases_own():
    size, tokens, saving = derived(anchors("sardana2023"))[:3]
    found, _, reference_flop = lifetime(size["inputs"], paper_values(size["coefficients"]), named_bar=True)
    assert near(found["n_dense"].item(), size, SOLVER)
    assert near(found["tokens"].item(), tokens, SOLVER)
    assert near(1.0 - found["lifetime_flop"].item() / reference_flop, saving, SOLVER)


@each(derived(anchors("sardana2023", "N_opt", "flop_saving")))
def test_prompts_that_count_as_much_again_are_another_life(anchor):
    assert not near(lifetime_answer(anchor, prompts=1.0), anchor, SOLVER)


# de Vries: the price of a smaller model at equal loss.

OVERHEADS = [*anchors("devries2023"), *anchors("devries2023_besiroglu")]


def devries(anchor, **changes):
    """A law of the anchor's exponents (the app's other constants do not matter), as a surface, and its loss optimum at 1e22 FLOP."""
    values = {"E": 1.62, "A": 406.4, "B": 410.7} | anchor["coefficients"] | changes
    (here,) = surfaces(certain("chinchilla", values), scenario_for(1e22)).values()
    return values, here, here.loss_optimal()


def smaller(anchor, share, **changes):
    """Tokens of a smaller model of equal loss over those of the loss-optimal one."""
    _, here, optimal = devries(anchor, **changes)
    needed = here.tokens_of_loss(optimal + np.log(share), here.loss(optimal))
    return (needed / here.tokens(optimal)).item()


@each([one for one in OVERHEADS if "k_N" in one["inputs"]])
def test_a_smaller_model_costs_de_vries_overhead(anchor):
    share = anchor["inputs"]["k_N"]
    ratio = smaller(anchor, share)
    assert near(ratio if anchor["output"] == "k_D" else share * ratio - 1.0, anchor)
    swapped = {"alpha": anchor["coefficients"]["beta"], "beta": anchor["coefficients"]["alpha"]}
    other = smaller(anchor, share, **swapped)
    assert not near(other if anchor["output"] == "k_D" else share * other - 1.0, anchor, 1e-3)


@each([one for one in OVERHEADS if one["output"] == "k_N_floor"])
def test_no_data_make_up_for_a_model_below_de_vries_floor(anchor):
    """Within 1%: the planner looks no further than 1e20 tokens, which leave a little of the tokens term."""
    assert np.isinf(smaller(anchor, 0.999 * anchor["value"]))
    assert np.isfinite(smaller(anchor, 1.01 * anchor["value"]))


def test_a_plan_held_to_half_the_size_pays_the_overhead():
    """Hardly anything is served, so the cheapest life is the cheapest training; the constraint holds the size down. Within 1e-3 of the overhead."""
    anchor = next(one for one in anchors("devries2023_besiroglu", "overhead") if one["inputs"]["k_N"] == 0.5)
    values, _, optimal = devries(anchor)
    limits = LimitsSpec(constraints=(f"n_dense <= {0.5 * np.exp(optimal).item()!r}",))
    serving = ServingSpec(lifetime_tokens=1.0)
    found = planned("chinchilla", values, scenario_for(1e22, "lifetime_flop", serving=serving, limits=limits))
    assert near(found["train_flop"].item() / 1e22 - 1.0, anchor, 1e-3)


# Zhao and Abnar: the design, and the share that is active.

ZHAO = anchors("zhao2025")[0]["coefficients"]


@dataclasses.dataclass(frozen=True)
class EqualSizes(Family):
    """Models of the same sizes whose candidates differ in design only; ``top_k`` need be no whole number, as a paper's best is none.

    Parameters
    ----------
    together : float
        Active experts, routed and shared, where shared ones fill up to a number; 0 where there are no shared ones.
    """

    correlation: float = 0.0

    def total_ratio(self, num_experts):
        return 10.0

    def active_ratio(self, num_experts):
        return 2.0

    def run(self, n_dense, tokens, num_experts):
        shared = self.correlation - self.top_k if self.correlation else 0.0
        return super().run(n_dense, tokens, num_experts) | {"top_k": self.top_k, "shared_experts": shared}


def best_routed(family, choices, **changes):
    """Routed experts of lowest loss at each one's own loss optimum on 1e22 FLOP; by :class:`Landscape`, as a plan's are whole."""
    (known,) = surfaces(certain("zhao", ZHAO | changes), scenario_for(1e22, counts=(100,))).values()
    here = dataclasses.replace(known, candidates=tuple(Candidate(100, each, 1.0) for each in choices), family=family)
    return choices[np.asarray(here.loss(here.loss_optimal()))[0].argmin()]


def test_the_loss_is_lowest_at_zhaos_count_of_active_experts():
    """Within a step of the choices, 0.01 experts."""
    (anchor,) = anchors("zhao2025", "active_experts_opt")
    choices = np.arange(6.0, 8.0, 0.01)
    assert best_routed(EqualSizes(), choices) == pytest.approx(anchor["value"], abs=0.01)
    # Whole counts, of which a model has one: ``e G + f/G`` is lower at 7 than at 6.
    assert best_routed(EqualSizes(), np.arange(1.0, 17.0)) == 7.0
    assert best_routed(EqualSizes(), choices, f=1.1 * ZHAO["f"]) > anchor["value"] + 0.1


def test_the_loss_is_lowest_at_zhaos_share_of_shared_experts():
    """Within a step of the choices, a thousandth."""
    (anchor,) = anchors("zhao2025", "shared_ratio_opt")
    choices = np.arange(5.0, 6.0, 0.008)
    assert 1.0 - best_routed(EqualSizes(correlation=8.0), choices) / 8.0 == pytest.approx(anchor["value"], abs=1e-3)
    assert 1.0 - best_routed(EqualSizes(correlation=8.0), choices, m=1.05 * ZHAO["m"]) / 8.0 < anchor["value"] - 0.01


@dataclasses.dataclass(frozen=True)
class AllExperts(Family):
    """All parameters in experts: ``top_k/num_experts`` of them are active. The design factor of Zhao's law is at its best."""

    moe_share: float = 1.0
    design: bool = False

    def run(self, n_dense, tokens, num_experts):
        found = super().run(n_dense, tokens, num_experts)
        if not self.design:
            return found
        best = law_named("zhao").optimal_design(ZHAO)
        shared = best.active_experts * best.shared_ratio
        return found | {"top_k": best.active_experts - shared, "shared_experts": shared}


def active_share(law, coefficients, family, apportion, n_total, *, budgets=None, tokens=None):
    """Share of lowest loss among models of equal total size, by draw; on budgets, or with tokens that are given.

    By :class:`Landscape`, whose draws are the anchors: a plan has one total size, and would be compiled anew for each.
    """
    count = 1000
    (known,) = surfaces(certain(law, coefficients, draws=len(n_total)), scenario_for(1e21, counts=(count,))).values()
    candidates = tuple(Candidate(count, float(number), 1.0) for number in apportion)
    here = dataclasses.replace(known, candidates=candidates, family=family)
    ln_size = jnp.log(np.array(n_total)[:, None] / here.total_ratio()) * jnp.ones(here.shape)
    if budgets is not None:
        loss = here.on_budget(np.array(budgets)[:, None]).loss(ln_size)
    else:
        loss = here.loss(ln_size, jnp.full(here.shape, tokens))
    return np.array(apportion)[np.asarray(loss).argmin(axis=1)] / count


@pytest.mark.parametrize("tokens", [1e11, 1e13])
def test_models_of_equal_total_size_have_zhaos_best_active_share(tokens):
    """Within a step, a thousandth; the data do not matter."""
    asked = anchors("zhao2025", "active_fraction_opt")
    sizes = [one["inputs"]["n_total"] for one in asked]
    found = active_share("zhao", ZHAO, AllExperts(design=True), range(150, 500), sizes, tokens=tokens)
    for share, anchor in zip(found, asked, strict=True):
        assert near(share, anchor, 1e-3 / anchor["value"])
    other = active_share(
        "zhao", ZHAO | {"h": 1.1 * ZHAO["h"]}, AllExperts(design=True), range(150, 500), sizes, tokens=tokens
    )
    assert not any(near(share, anchor, 1e-3 / anchor["value"]) for share, anchor in zip(other, asked, strict=True))


def test_zhaos_active_share_is_the_plan_of_equal_resources_when_data_are_short():
    """Budget in abundance and a trillion tokens: every share trains on all of them, as in the paper's closed form. Within a step, a hundredth."""
    anchor = anchors("zhao2025", "active_fraction_opt")[0]

    class ZhaoSpec(ArchitectureSpec):
        def family(self, top_k=None, granularity=None):
            return AllExperts(top_k=1.0 * (top_k or self.top_k), design=True)

    limits = LimitsSpec(n_total_parameters=anchor["inputs"]["n_total"], unique_tokens=1e12)
    found = planned(
        "zhao",
        ZHAO,
        scenario_for(
            1e26, "equal_resources", counts=(100,), top_k=tuple(range(5, 70)), architecture=ZhaoSpec(), limits=limits
        ),
    )
    assert found["tokens"].item() == 1e12
    assert found["n_active"].item() / found["n_total"].item() == pytest.approx(anchor["value"], abs=0.01)


def test_models_of_equal_total_size_have_abnars_best_sparsity_on_a_budget():
    """Within a step of the choices, a thousandth."""
    asked = anchors("abnar2025", "S_opt")
    assert len(asked) == 6
    sizes, budgets = ([one["inputs"][name] for one in asked] for name in ("n_total", "train_flop"))
    values = paper_values(asked[0]["coefficients"])

    def sparsity(values):
        return 1.0 - active_share("abnar", values, AllExperts(), range(2, 500), sizes, budgets=budgets)

    expected = [one["value"] for one in asked]
    np.testing.assert_allclose(sparsity(values), expected, atol=1e-3)
    assert (abs(sparsity(values | {"lambda": -values["lambda"]}) - expected) > 1e-3).all()


# Tian: efficiency leverage.

TIAN = {name: value for name, value in anchors("tian2025_el")[0]["coefficients"].items() if name != "A_max"}
DENSE_LAW = {"E": 1.5, "B": 60.0, "b": 0.09}
"""Loss of dense models by compute, which the paper does not print; leverage does not depend on it."""

READ_OFF = 5e-4
"""Relative. Leverage is read off a dense curve drawn straight between budgets a sixteenth of a decade apart; that is off by 2.3e-4 at most."""


def leverages(found, *, halved=True, dense=DENSE_LAW, **changes):
    """Leverage of anchors: each a candidate beside the dense model, each budget a draw, through the planner's curve of dense budgets.

    A plan needs a law that can split a budget between size and tokens, and refuses Tian's, which reads compute alone; ``leverage`` does not mind.
    It is relative to a dense model; the paper's is not quite (0.99 at an activation ratio of 1), and is restored.
    """
    budgets = sorted({one["inputs"]["train_flop"] for one in found})
    values = TIAN | dense | changes
    ratios = [Fraction(one["inputs"]["activation_ratio"]).limit_denominator(1000) for one in found]
    of_anchor = [
        # A ratio of 0 is one of a billion experts.
        Candidate(
            ratio.denominator if ratio else 10**9, float(ratio.numerator or 1), one["inputs"]["granularity"] * (1.0 + halved)
        )
        for ratio, one in zip(ratios, found, strict=True)
    ]
    parameters = {name: jnp.full(len(budgets), value) for name, value in values.items()}
    asked = scenario_for(1.0)
    here = DesignSurface(
        law_named("tian"),
        parameters,
        (Candidate(1, 1.0, 1.0), *of_anchor),
        Family(),
        asked,
        None,
        {},
        latency_of(asked.serving),
        np.array(budgets)[:, None],
    )
    optimal = here.loss_optimal()
    spent = here.flop_per_token(optimal) * here.tokens(optimal)
    ours = np.asarray(leverage(here, here.loss(optimal), spent))
    np.testing.assert_allclose(ours[:, 0], 1.0, rtol=READ_OFF)
    restored = []
    for number, one in enumerate(found):
        whole = law_named("tian-leverage").loss(
            TIAN, {**one["inputs"], "activation_ratio": 1.0, "granularity": 2.0 * one["inputs"]["granularity"]}
        )
        restored.append(ours[budgets.index(one["inputs"]["train_flop"]), number + 1] * float(whole))
    return restored


LEVERAGES = [one for one in anchors("tian2025_el", "EL") if one["inputs"]["activation_ratio"] < 1.0]


def test_the_planners_leverage_is_tians():
    """All 48 of the catalog, 7.22 at 1/32, G = 12 and 1e22 FLOP among them."""
    assert len(LEVERAGES) == 48
    np.testing.assert_allclose(leverages(LEVERAGES), [one["value"] for one in LEVERAGES], rtol=READ_OFF)


def test_leverage_is_the_same_beside_another_dense_law():
    other = {"E": 0.5, "B": 20.0, "b": 0.05}
    np.testing.assert_allclose(leverages(LEVERAGES, dense=other), [one["value"] for one in LEVERAGES], rtol=READ_OFF)


@pytest.mark.parametrize("broken", [{"halved": False}, {"d": -0.0770}, {"A_start": 0.0180}])
def test_a_law_of_leverage_a_little_off_misses(broken):
    """G of the run table is twice Tian's; the others are off by a hundredth and by a tenth."""
    off = np.array(leverages(LEVERAGES, **broken)) / [one["value"] for one in LEVERAGES] - 1.0
    assert (abs(off) > READ_OFF).mean() > 0.9


def test_the_most_leverage_is_at_tians_granularity():
    """Within a step of the choices, 0.05; at any budget and activation ratio."""
    (anchor,) = anchors("tian2025_el", "G_opt")
    choices = np.arange(10.0, 13.0, 0.05)
    for budget, ratio in ((1e20, 1 / 8), (1e22, 1 / 64)):
        asked = [{"inputs": {"train_flop": budget, "activation_ratio": ratio, "granularity": g}} for g in choices]
        assert choices[np.argmax(leverages(asked))] == pytest.approx(anchor["value"], abs=0.05)


def test_leverage_is_one_where_tians_exponent_vanishes():
    (anchor,) = anchors("tian2025_el", "C_zero_exponent")
    asked = [
        {"inputs": {"train_flop": factor * anchor["value"], "activation_ratio": 1 / 32, **anchor["inputs"]}}
        for factor in (0.1, 1.0, 10.0)
    ]
    below, there, above = leverages(asked)
    assert below < 0.9 < 1.1 < above
    assert there == pytest.approx(1.0, rel=READ_OFF)
