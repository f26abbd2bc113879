"""Simulated truths: their optima, what is scored, the test that tells a broken forecast, and what a stopped run leaves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from oracle import yun_loss
from oracle_problems import Brute
from seeds import seeded

from bayesmoe.planning.problems import asked_problems, problem_named
from bayesmoe.planning.scenario import ArchitectureSpec
from bayesmoe.planning.solve import Solver


@pytest.fixture
def simulated(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "docs"))
    import simulated_truths

    return simulated_truths


@pytest.fixture
def page(simulated):
    import make_truths

    return make_truths


def few_counts(scenario, *counts):
    """A scenario with fewer counts, of which the first sets the loss."""
    choices = dataclasses.replace(scenario.choices, num_experts=counts, baseline_num_experts=counts[0])
    return dataclasses.replace(scenario, choices=choices)


def planted_loss(simulated):
    """Yun's law with the planted discrepancy, in NumPy."""

    def loss(p, size, tokens, num_experts):
        decades = [2 * np.tanh(np.log10(x / p[m]) / 2) for x, m in ((size, "middle_size"), (tokens, "middle_tokens"))]
        tilt = (p["q_size"] * decades[0] + p["q_tokens"] * decades[1]) * np.log(num_experts) / np.log(512)
        return yun_loss(p, size, tokens, num_experts) * np.exp(tilt)

    return loss


@pytest.mark.slow
def test_the_search_of_the_planner_and_brute_force_find_one_optimum(simulated) -> None:
    """Of a law with a planted discrepancy, on four counts; sizes to half a percent, as everywhere (``test_problems``)."""
    found = simulated.truth(8)
    assert found.name == "yun"
    assert found.parameters["q_size"] != 0.0
    scenario = few_counts(simulated.scenario_of(found, 10.0), 1, 8, 64, 512)
    here = simulated.true_surface(found, scenario)
    solver = Solver((here,), asked_problems(scenario), scenario.tolerance.probability)
    searched = solver.solve(solver.levels())[0]
    parameters = {name: [value] for name, value in found.parameters.items()}
    for number, (problem, ours) in enumerate(zip(simulated.PROBLEMS, simulated.optima([here], scenario), strict=True)):
        possible = searched.feasible[number][0]
        np.testing.assert_array_equal(np.isfinite(ours.objective[0]), possible)
        chosen = searched.chosen[number].by_name()
        objective = np.log(np.asarray(chosen[problem_named(problem).objective])[0])
        np.testing.assert_allclose(ours.objective[0][possible], objective[possible], atol=0.001)
        for name in simulated.QUANTITIES:
            np.testing.assert_allclose(getattr(ours, name)[0][possible], np.log(chosen[name])[0][possible], atol=0.005)
        # The oracle of the tests has no code of either.
        answers = Brute(scenario, planted_loss(simulated), problem).answers(parameters, here.cost_draws, 0)
        np.testing.assert_allclose(
            ours.n_dense[0][possible], np.log([one.n_dense for one in answers if one.objective > 0]), atol=0.005
        )


def test_a_truth_follows_from_its_number(simulated) -> None:
    one, again, other = simulated.truth(8), simulated.truth(8), simulated.truth(0)
    assert one.parameters == again.parameters
    assert one.table().equals(again.table())
    assert one.name == other.name
    assert one.parameters != other.parameters
    assert other.parameters["q_size"] == 0.0


def test_a_planted_discrepancy_differs_between_counts_and_sizes(simulated) -> None:
    found = simulated.truth(0)
    law = found.law
    changed = dict(found.parameters) | {"q_size": 0.02}
    family = ArchitectureSpec(top_k=1).family()

    def moved(size: float, count: float) -> float:
        run = {
            name: jnp.asarray(value) for name, value in family.run(size, found.parameters["middle_tokens"], count).items()
        }
        return float(np.log(law.loss(changed, run) / law.loss(dict(found.parameters), run)))

    middle = found.parameters["middle_size"]
    assert moved(middle, 512.0) == pytest.approx(0.0, abs=1e-12)
    assert moved(30 * middle, 1.0) == pytest.approx(0.0, abs=1e-12)
    assert moved(10 * middle, 512.0) == pytest.approx(0.02 * 2 * np.tanh(0.5), rel=1e-6)


def test_a_forecast_that_is_the_truth_has_no_regret(simulated) -> None:
    found = simulated.truth(0)
    scenario = simulated.scenario_of(found, 10.0)
    true = simulated.optima([simulated.true_surface(found, scenario)], scenario)[0]
    answer = simulated.judged(true, true, np.ones(1), np.random.default_rng(0))
    assert answer["regret_stated"] == answer["regret_suffered"] == 0.0
    assert answer["chosen"] == answer["true_count"]
    assert max(answer["chance"]) == 1.0
    assert answer["chance"][simulated.COUNTS.index(answer["chosen"])] == 1.0
    assert simulated.COUNTS[int(true.objective[0].argmin())] == answer["true_count"]


def rows(simulated, *, sure: float, seed: int = 0, tables: int = 200):
    """Results of made-up tables: percentiles and counts that are right where ``sure`` is 1, and too sure where it is more."""
    rng = np.random.default_rng(seeded(seed))
    found = []
    for number in range(tables):
        answers = []
        for factor in simulated.FACTORS:
            for problem in simulated.PROBLEMS:
                chance = rng.dirichlet(np.full(len(simulated.COUNTS), 0.3))
                best = int(rng.choice(len(chance), p=chance))
                said = chance**sure / (chance**sure).sum()
                away = np.clip(0.5 + sure * (rng.random() - 0.5), 0.0, 1.0)
                answers.append(
                    {
                        "factor": factor,
                        "problem": problem,
                        "discrepancy": simulated.LEARNED,
                        "true_count": simulated.COUNTS[best],
                        "chosen": simulated.COUNTS[int(said.argmax())],
                        "chance": said.tolist(),
                        "percentile": dict.fromkeys(simulated.QUANTITIES, float(away)),
                        "regret_stated": 0.01,
                        "regret_suffered": 0.02,
                    }
                )
        found.append({"number": number, "law": "yun", "planted": [0.0, 0.0], "gate": "PASS", "answers": answers})
    return found


def test_the_test_accepts_what_is_right_and_rejects_what_is_too_sure(simulated, page) -> None:
    """Four columns, each rejected by chance with at most 1%: no two of them by more than 0.1%."""
    right = page.rejected(page.answers_of(rows(simulated, sure=1.0), simulated.LEARNED))
    assert sum(p < page.ERROR_RATE for p, _ in right.values()) < 2
    broken = page.rejected(page.answers_of(rows(simulated, sure=1.6), simulated.LEARNED))
    assert all(p < page.ERROR_RATE for p, _ in broken.values())
    assert {side for _, side in broken.values()} == {"too narrow"}


def test_one_answer_a_table_visits_every_problem_and_budget_of_a_law(simulated, page) -> None:
    once = page.one_a_table(page.answers_of(rows(simulated, sure=1.0, tables=64), simulated.LEARNED))
    assert [one["number"] for one in once] == list(range(64))
    of_first = {(one["problem"], one["factor"]) for one in once if one["number"] % len(simulated.LAWS) == 0}
    assert len(of_first) == len(simulated.PROBLEMS) * len(simulated.FACTORS)


def test_a_stopped_run_loses_the_table_it_was_at(simulated, page, tmp_path, monkeypatch) -> None:
    made = rows(simulated, sure=1.0, tables=3)
    lines = [json.dumps({"stamp": "", "block": [one["number"]], "result": one}) for one in made]
    kept = tmp_path / "kept.jsonl"
    monkeypatch.setattr(page, "KEPT", kept)
    assert page.kept_tables() == []
    kept.write_text("\n".join([lines[1], lines[0], lines[2][:50]]))
    assert [one["number"] for one in page.kept_tables()] == [0, 1]
