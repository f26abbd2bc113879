"""Golden numbers: every anchor of the reference catalog that concerns a law, within its own tolerance.

``tests/anchors.json`` holds the catalog's values with their sources. An anchor whose law nobody owns fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from bayesmoe.architecture import Family, parameters_from_shape
from bayesmoe.hyperparameters import hyperparameter_law_named
from bayesmoe.hyperparameters.hunyuan import training_flop as hunyuan_train_flop
from bayesmoe.laws import Law, effective_experts, law_named
from bayesmoe.laws.forms.krajewski import train_flop as krajewski_train_flop
from bayesmoe.planning.search import minimize_unimodal

ANCHORS = json.loads((Path(__file__).parents[2] / "anchors.json").read_text())

LATER = {
    "ludziejewski2025_memory": "planning",
    "sardana2023": "planning",
    "devries2023": "planning",
    "devries2023_besiroglu": "planning",
    "tian2025_flops": "costs",
    "yun2024_kv": "costs",
    "yun2024_hl": "costs",
    "yun2024_max_batch": "costs",
    "erdil2025_read_fraction": "costs",
    "erdil2025_dense": "costs",
    "erdil2025_allreduce": "costs",
    "roofline_distinct_experts": "costs",
}
"""Anchors of cost formulas and planning problems, which are no laws."""

Values = dict[str, Any]


def optimum(loss_at: Callable[[Any], Any], low: float, high: float) -> float:
    """Where a loss that falls and then rises is lowest."""
    return float(minimize_unimodal(jax.grad(loss_at), jnp.asarray(low), jnp.asarray(high)))


def size_on_budget(law: Law, p: Values, train_flop: float, **run: float) -> float:
    """Loss-optimal size with ``C = 6 N D``."""

    def loss(ln_size: Any) -> Any:
        size = jnp.exp(ln_size)
        return law.loss(p, {**run, law.size: size, "tokens": train_flop / (6.0 * size)})

    return float(jnp.exp(optimum(loss, jnp.log(1e5), jnp.log(1e15))))


def size_exponent(law: Law, p: Values) -> float:
    """Exponent of the loss-optimal size in compute."""
    return float(jnp.log(size_on_budget(law, p, 1e23) / size_on_budget(law, p, 1e22)) / jnp.log(10.0))


def additive(law: Law, c: Values, x: Values, output: str) -> float:
    """Chinchilla's form: loss, optimum, exponent, tokens per parameter."""
    p = {name.removeprefix("ln_"): jnp.exp(value) if name.startswith("ln_") else value for name, value in c.items()}
    if output == "loss":
        return law.loss(p, x)
    if output == "a_exponent":
        return size_exponent(law, p)
    size = size_on_budget(law, p, x["train_flop"])
    tokens = x["train_flop"] / (6.0 * size)
    return {"N_opt": size, "D_opt": tokens, "tokens_per_param": tokens / size}[output]


def chinchilla(c: Values, x: Values, output: str) -> float:
    return additive(law_named("chinchilla"), c, x, output)


def flame(c: Values, x: Values, output: str) -> float:
    return additive(law_named("flame"), c, x, output)


def kaplan(c: Values, x: Values, output: str) -> float:
    """The joint law, and its limits of endless tokens and endless size."""
    law = law_named("kaplan")
    p = {"N_c": 1.0, "alpha_N": 1.0, "D_c": 1.0, "alpha_D": 1.0} | c
    if output == "a_exponent":
        return size_exponent(law, p)
    return law.loss(p, {"n_total": x.get("n_total", x.get("n_dense", jnp.inf)), "tokens": x.get("tokens", jnp.inf)})


def gadre(c: Values, x: Values, output: str) -> float:
    law = law_named("gadre")
    if output == "M_opt":
        size = size_on_budget(law, c, 1e21)
        return 1e21 / (6.0 * size**2)
    size = x["n_total"] if "n_total" in x else (x["train_flop"] / (6.0 * x["tokens_per_param"])) ** 0.5
    return law.loss(c, {"n_total": size, "tokens": x["tokens"] if "tokens" in x else size * x["tokens_per_param"]})


def clark(c: Values, x: Values, output: str) -> float:
    law: Any = law_named("clark")
    if output == "E_hat":
        return effective_experts(x["num_experts"], c["e_start"], c["e_max"])
    if output == "N_cut":

        def gain(u: Any) -> Any:
            routed, dense = (law.loss(c, {"n_dense": 10.0**u, "num_experts": e}) for e in (64.0, 1.0))
            return jnp.log(routed / dense)

        return 10.0 ** optimum(lambda u: gain(u) ** 2, 6.0, 20.0)
    return law.effective_parameters(c, x) if output == "EPC" else law.loss(c, x)


def frantar(c: Values, x: Values, output: str) -> float:
    law: Any = law_named("frantar")
    if output == "dense_size_multiplier":
        return law.dense_multiplier(c, 1.0 - x["weight_sparsity"])
    if output == "S_opt":
        return law.optimal_sparsity(c, x["n_nonzero"], x["train_flop"])
    total = x["n_nonzero"] / (1.0 - x["weight_sparsity"])
    return law.loss(c, {"n_active": x["n_nonzero"], "n_total": total, "tokens": x["tokens"]})


def krajewski(c: Values, x: Values, output: str) -> float:
    return law_named("krajewski").loss({"g": 0.0, "gamma": 1.0} | c, {"granularity": 1.0} | x)


def krajewski_flop(c: Values, x: Values, output: str) -> float:
    width = (c["width_per_block"] * x["n_active"] / 12.0) ** (1.0 / 3.0)
    constants = {"expansion": c["expansion"], "c_f": c["c_f"], "c_r": c["c_r"]}
    return krajewski_train_flop(width, width / c["width_per_block"], x["tokens"], x["granularity"], **constants)


def ludziejewski(c: Values, x: Values, output: str) -> float:
    law = law_named("ludziejewski")
    experts = float(x["num_experts"])
    ln_experts = jnp.log(effective_experts(experts, c["e_start"], c["e_max"]))
    if output == "loss":
        return law.loss(c, {**x, "num_experts": experts})
    if output in ("N_opt", "D_opt", "loss_at_optimum"):
        size = size_on_budget(law, c, x["train_flop"], num_experts=experts)
        tokens = x["train_flop"] / (6.0 * size)
        loss = law.loss(c, {"n_active": size, "tokens": tokens, "num_experts": experts})
        return {"N_opt": size, "D_opt": tokens, "loss_at_optimum": loss}[output]
    return {
        "E_hat": jnp.exp(ln_experts),
        "m": c["a"] * jnp.exp(c["delta"] * ln_experts),
        "mu": c["alpha"] + c["gamma"] * ln_experts,
        "n": c["b"] * jnp.exp(c["omega"] * ln_experts),
        "nu": c["beta"] + c["zeta"] * ln_experts,
    }[output]


def ludziejewski_size(c: Values, x: Values, output: str) -> float:
    width = x["d_model"]
    layers, ffn = width / c["width_per_block"], 3.0 * width
    shape = {"d_model": width, "num_layers": layers, "num_moe_layers": layers, "d_ff": ffn, "d_expert": ffn}
    found = parameters_from_shape(**shape, num_experts=x["num_experts"], top_k=1, d_shared=0)
    return found[output] + 2.0 * width * c["vocab"]


def abnar(c: Values, x: Values, output: str) -> float:
    law = law_named("abnar")
    p = {"lambda" if name == "lam" else name: value for name, value in c.items()}
    if output == "loss":
        return law.loss(p, {"n_total": x["n_total"], "tokens": x["tokens"], "activation_ratio": 1.0 - x["sparsity"]})

    def loss(ln_active: Any) -> Any:
        active = jnp.exp(ln_active)
        tokens = x["train_flop"] / (6.0 * active * x["n_total"])
        return law.loss(p, {"n_total": x["n_total"], "tokens": tokens, "activation_ratio": active})

    return 1.0 - float(jnp.exp(optimum(loss, jnp.log(1e-6), 0.0)))


def zhao(c: Values, x: Values, output: str) -> float:
    law: Any = law_named("zhao")
    if output == "loss":
        shared = x["active_experts"] * x["shared_ratio"]
        return law.loss(c, {**x, "top_k": x["active_experts"] - shared, "shared_experts": shared})
    if output == "active_fraction_opt":
        return law.optimal_active_share(c, x["n_total"])
    names = {"active_experts_opt": "active_experts", "shared_ratio_opt": "shared_ratio", "Phi_opt": "factor"}
    return getattr(law.optimal_design(c), names[output])


def hossain(c: Values, x: Values, output: str) -> float:
    return law_named("hossain").loss(c, {**x, "n_total": x["n_active"] / (1.0 - x["sparsity"])})


def leverage(c: Values, x: Values, output: str) -> float:
    """Tian's leverage; the granularity of anchors is Tian's own, half of the run table's."""
    law = law_named("tian-leverage")
    if output == "EL":
        return law.loss(c, {**x, "granularity": 2.0 * x["granularity"]})
    if output == "G_opt":
        run = {"activation_ratio": 0.05, "train_flop": 1e21}
        best = optimum(lambda ln_g: -law.loss(c, {**run, "granularity": 2.0 * jnp.exp(ln_g)}), 0.0, jnp.log(1e3))
        return float(jnp.exp(best))
    run = {"activation_ratio": 0.05, "granularity": 2.0 * x["granularity"]}
    even = optimum(lambda u: jnp.log(law.loss(c, {**run, "train_flop": 10.0**u})) ** 2, 5.0, 25.0)
    return 10.0**even


def yun(c: Values, x: Values, output: str) -> float:
    law, p = law_named("yun"), {"N_c": 1.0, "e_c": 1.0} | c
    if output == "loss":
        return law.loss(p, {**x, "num_experts": float(x["num_experts"])})
    return size_on_budget(law, p, x["train_flop"], num_experts=float(x["num_experts"]))


def yun_size(c: Values, x: Values, output: str) -> float:
    if output == "n_active_over_n_dense":
        return Family(moe_share=c["a_eff"], top_k=x["top_k"]).active_ratio(8)
    return Family(moe_share=c["c"]).total_ratio(x["num_experts"])


def quoted(name: str, quantities: dict[str, str]) -> Callable[[Values, Values, str], float]:
    """Owner of the anchors of a hyperparameter law: which of its quantities each output is."""
    renamed = {"n_active_nonembedding": "n_active", "train_flop_min": "train_flop"}

    def value(c: Values, x: Values, output: str) -> float:
        inputs = {renamed.get(key, key): value for key, value in x.items()}
        return hyperparameter_law_named(name).law_for(quantities[output]).value(**inputs)

    return value


def hunyuan(c: Values, x: Values, output: str) -> float:
    if output == "train_flop":
        return hunyuan_train_flop(**x)
    return quoted("hunyuan", {"N_opt": "n_active", "D_opt": "tokens"})(c, x, output)


def yun_line(c: Values, x: Values, output: str) -> float:
    law = hyperparameter_law_named("yun")
    size, tokens = law.law_for("n_dense"), law.law_for("tokens")
    if output == "gamma_over_alpha":
        return size.exponents["train_flop"] / tokens.exponents["train_flop"]
    return size.value(**x) if output == "N_opt" else tokens.value(**x) / size.value(**x)


HYPERPARAMETERS = {"lr": "learning_rate", "batch": "batch_tokens"}
ALLOCATION = {"M_opt": "flop_per_token", "D_opt": "tokens"}

OWNERS: dict[str, Callable[[Values, Values, str], Any]] = {
    "hoffmann2022_approach3": chinchilla,
    "besiroglu2024": chinchilla,
    "flame2025_huber": flame,
    "flame2025_mse": flame,
    "kaplan2020_joint": kaplan,
    "kaplan2020_N": kaplan,
    "kaplan2020_D": kaplan,
    "clark2022_dense": kaplan,
    "gadre2024": gadre,
    "clark2022_sbase": clark,
    "clark2022_rlr": clark,
    "clark2022_hash": clark,
    "frantar2023_t5_c4": frantar,
    "frantar2023_vit_jft": frantar,
    "krajewski2024_moe_E64": krajewski,
    "krajewski2024_moe_E16": krajewski,
    "krajewski2024_dense": krajewski,
    "krajewski2024_flops": krajewski_flop,
    "ludziejewski2025": ludziejewski,
    "ludziejewski2025_size": ludziejewski_size,
    "abnar2025": abnar,
    "zhao2025": zhao,
    "hossain2025_moe": hossain,
    "hossain2025_pruned": hossain,
    "hossain2025_dense": hossain,
    "tian2025_el": leverage,
    "yun2024_illustrative": yun,
    "yun2024_size": yun_size,
    "yun2024_dense_line": yun_line,
    "steplaw2025": quoted("step-law", HYPERPARAMETERS),
    "steplaw2025_bootstrap_mean": quoted("step-law-bootstrap", HYPERPARAMETERS),
    "tian2025_hp": quoted("tian", HYPERPARAMETERS),
    "tian2025_allocation_dense": quoted("tian-dense", ALLOCATION),
    "tian2025_allocation_moe": quoted("tian-moe", ALLOCATION),
    "ludziejewski2025_lr": quoted("ludziejewski", HYPERPARAMETERS),
    "hunyuan2024": hunyuan,
    "kaplan2020_critical_batch": quoted("kaplan", HYPERPARAMETERS),
}


def misses(anchor: Values) -> bool:
    """Whether the owner's value lies outside the anchor's tolerance."""
    found = float(OWNERS[anchor["law"]](anchor["coefficients"], anchor["inputs"], anchor["output"]))
    return not abs(found / anchor["value"] - 1.0) <= anchor["rtol"]


@pytest.mark.parametrize("number", range(len(ANCHORS)))
def test_every_anchor_has_an_owner_that_reproduces_it(number: int) -> None:
    anchor = ANCHORS[number]
    if anchor["law"] in LATER:
        assert anchor["law"] not in OWNERS
        return
    assert anchor["law"] in OWNERS, f"no owner for {anchor['law']}"
    assert not misses(anchor), anchor["note"]


@pytest.mark.parametrize("name", sorted(OWNERS))
def test_an_anchor_a_little_off_is_missed(name: str) -> None:
    anchor = next(anchor for anchor in ANCHORS if anchor["law"] == name)
    assert misses({**anchor, "value": anchor["value"] * (1.0 + 3.0 * anchor["rtol"])})


PUBLISHED = {
    "clark2022_sbase": ("clark", "s-base"),
    "clark2022_rlr": ("clark", "rl-r"),
    "clark2022_hash": ("clark", "hash"),
    "besiroglu2024": ("chinchilla", "besiroglu"),
    "flame2025_huber": ("flame", "huber"),
    "flame2025_mse": ("flame", "mse"),
    "kaplan2020_joint": ("kaplan", "joint"),
    "frantar2023_t5_c4": ("frantar", "t5-c4"),
    "frantar2023_vit_jft": ("frantar", "vit-jft"),
    "krajewski2024_moe_E64": ("krajewski", "moe-e64"),
    "krajewski2024_moe_E16": ("krajewski", "moe-e16"),
    "ludziejewski2025": ("ludziejewski", "joint"),
    "abnar2025": ("abnar", "table-3"),
    "zhao2025": ("zhao", "joint"),
    "hossain2025_moe": ("hossain", "moe"),
    "hossain2025_pruned": ("hossain", "pruned"),
    "tian2025_el": ("tian-leverage", "table-2"),
    "yun2024_illustrative": ("yun", "illustrative"),
}
NO_SATURATION = {"A_max"}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_sets_hold_the_anchors_coefficients(name: str) -> None:
    law, which = PUBLISHED[name]
    printed = next(anchor["coefficients"] for anchor in ANCHORS if anchor["law"] == name)
    printed = {"lambda" if key == "lam" else key: value for key, value in printed.items() if key not in NO_SATURATION}
    assert law_named(law).coefficients(which).items() >= printed.items()


def test_gadre_and_hoffmann_sets_hold_the_anchors_coefficients() -> None:
    for anchor in ANCHORS:
        if anchor["law"] == "gadre2024":
            assert law_named("gadre").coefficients(anchor["inputs"]["train_set"]) == anchor["coefficients"]
    printed = next(a["coefficients"] for a in ANCHORS if a["law"] == "hoffmann2022_approach3")
    held = law_named("chinchilla").coefficients("hoffmann")
    for name in ("E", "A", "B"):
        assert held[name] == pytest.approx(float(jnp.exp(printed[f"ln_{name}"])), rel=1e-6)
    assert (held["alpha"], held["beta"]) == (printed["alpha"], printed["beta"])


def test_the_anchors_are_those_of_the_shared_catalog(shared_data: Path) -> None:
    shared = shared_data.parent / "reference" / "anchors.json"
    assert json.loads(shared.read_text()) == ANCHORS
