"""Write ``docs/schemas/*.json``: a JSON Schema for every document that ``--json`` prints.

``python docs/make_schemas.py``. ``docs/json.md`` says what the keys mean; a test holds real documents against the schemas.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "schemas"

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
EXPERTS: Schema = {"type": "integer", "minimum": 1}
YES: Schema = {"type": "boolean"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
VERDICT: Schema = {"enum": ["PASS", "REVIEW", "FAIL"]}
METHOD: Schema = {"enum": ["mcmc", "laplace", "pathfinder"]}
RANGE: Schema = {"type": "array", "items": SHARE, "minItems": 2, "maxItems": 2}


def maybe(schema: Schema) -> Schema:
    """That, or null where it cannot be given."""
    return {"anyOf": [schema, {"type": "null"}]}


def several(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def by_name(schema: Schema) -> Schema:
    """An object whose keys are names: of laws, problems, papers."""
    return {"type": "object", "additionalProperties": schema}


def thing(keys: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these keys; later versions may add others."""
    return {"type": "object", "properties": {**keys, **optional}, "required": list(keys)}


def told(schema: Schema, keys: str) -> dict[str, Schema]:
    """The same for several keys."""
    return dict.fromkeys(keys.split(), schema)


def document(name: str, version: int, keys: dict[str, Schema]) -> Schema:
    """A whole document."""
    stamp = {"schema": {"const": f"bayesmoe.{name}"}, "schema_version": {"const": version}}
    body = thing({**stamp, **keys})
    used = {key: shape for key, shape in SHAPES.items() if f'"#/$defs/{key}"' in json.dumps(body)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:bayesmoe:{name}:{version}",
        "title": f"bayesmoe.{name}, version {version}",
        **({"$defs": used} if used else {}),
        **body,
    }


SHAPES = {
    "band": thing(told(maybe(NUMBER), "q05 q50 q95")),
    "by_measure": thing(told(maybe(NUMBER), "mean q95 cvar95 worst")),
    "ends": thing(told(maybe(NUMBER), "low high")),
    "column": thing(told(TEXT, "column unit meaning")),
    "value": thing({**told(TEXT, "column unit"), "value": maybe(NUMBER)}),
}
BAND, MEASURES, ENDS, COLUMN, VALUE = ({"$ref": f"#/$defs/{name}"} for name in SHAPES)
SURE_BAND = thing(told(NUMBER, "q05 q50 q95"))
CHOICES = thing(told(maybe(EXPERTS), "mean q95 cvar95 worst"))
COUNTS = thing(told(maybe(EXPERTS), "low high"))
FITTED = several(thing({**told(TEXT, "column unit"), "low": maybe(NUMBER), "high": NUMBER}))

OBJECTIVES = ("nats", "usd_per_million_tokens", "usd", "flop")
"""Suffixes of keys in the unit of a problem's objective."""


def one_of(prefix: str, schema: Schema) -> dict[str, Schema]:
    """A key that ends in the objective's unit."""
    return {f"{prefix}_{unit}": schema for unit in OBJECTIVES}


FIXED = thing(
    {
        **told(maybe(POSITIVE), "n_dense_parameters tokens"),
        "top_k": COUNT,
        "granularity": NUMBER,
        "p_met": maybe(SHARE),
        "sure": YES,
        **told(BAND, "loss_nats_per_token serving_usd_per_million_tokens train_usd"),
    },
    **one_of("objective", MEASURES),
    total_usd=MEASURES,
    expected_regret_usd=maybe(NUMBER),
)
PER_COUNT = thing(
    {
        "num_experts": EXPERTS,
        **told(maybe(SHARE), "p_feasible p_best"),
        "near_optimal": YES,
        **told(
            BAND,
            "n_dense_parameters n_active_parameters n_total_parameters top_k granularity tokens train_flop train_usd loss_nats_per_token "
            "serving_usd_per_million_tokens n_gpus_per_replica batch_requests output_tokens_per_s fleet_tokens_per_s memory_bytes "
            "over_training_ratio size_ratio",
        ),
        "fixed": FIXED,
    },
    **one_of("expected_regret", maybe(NUMBER)),
    **told(BAND, "epochs lifetime_flop lifetime_usd efficiency_leverage"),
)
ADVICE = thing(
    {
        **told(maybe(NUMBER), "learning_rate_log_sd batch_tokens_log_sd"),
        "by_paper": by_name(thing(told(BAND, "learning_rate batch_tokens"))),
    }
)
CHANGE = thing({**told(EXPERTS, "from_num_experts to_num_experts"), "lifetime_tokens": NUMBER, "lifetime_tokens_band": BAND})
PROBLEM = thing(
    {
        **told(TEXT, "source minimizes"),
        **told(maybe(EXPERTS), "choice_num_experts fixed_choice_num_experts"),
        "fixed_choice_by_measure": CHOICES,
        "near_optimal_num_experts": several(EXPERTS),
        "p_any_feasible": maybe(SHARE),
        "num_experts": several(PER_COUNT),
        "hyperparameters": ADVICE,
    },
    usd_per_nat=maybe(NUMBER),
    evpi_usd=maybe(NUMBER),
    evppi_usd=by_name(NUMBER),
    num_experts_at_min_demand=maybe(EXPERTS),
    break_even=several(CHANGE),
)
WITHOUT = thing({"choice_num_experts": maybe(EXPERTS)}, **told(BAND, "n_dense_parameters tokens loss_nats_per_token"))
PLAN = document(
    "plan",
    2,
    {
        **told(TEXT, "bayesmoe_version scenario_name law data_origin data_sha256"),
        **told(maybe(POSITIVE), "budget_flop budget_usd"),
        "baseline_num_experts": EXPERTS,
        "gate": VERDICT,
        "method": METHOD,
        **told(YES, "approximate data_simulated"),
        "draws": EXPERTS,
        "band": RANGE,
        "laws": by_name(SHARE),
        "without_each_law": by_name(by_name(WITHOUT)),
        "problems": by_name(PROBLEM),
    },
)
PLANS = document("plans", 1, {"plans": several({k: v for k, v in PLAN.items() if not k.startswith("$")})})

CANDIDATE = thing(
    {
        **told(EXPERTS, "num_experts top_k"),
        **told(
            POSITIVE, "granularity n_dense_parameters n_active_parameters n_total_parameters tokens train_flop train_usd"
        ),
        "loss_nats_per_token": BAND,
        **told(NUMBER, "evsi_usd evsi_se_usd net_usd"),
    }
)
NEXT_RUN = document(
    "next_run",
    1,
    {
        **told(TEXT, "bayesmoe_version problem"),
        "max_flop": POSITIVE,
        "draws": EXPERTS,
        "evpi_usd": NUMBER,
        "runs": several(CANDIDATE),
        "batch": several(thing({"run": COUNT, **told(NUMBER, "evsi_usd_so_far train_usd_so_far")})),
    },
)

TURNED = thing(
    {"input": TEXT, "value": ENDS, "num_experts": COUNTS, "loss_nats_per_token": ENDS},
    **told(ENDS, "cost_usd cost_usd_per_million_tokens"),
)
SENSITIVITY = document(
    "sensitivity",
    1,
    {
        **told(TEXT, "bayesmoe_version scenario_name"),
        "problems": by_name(
            thing(
                {"baseline_num_experts": maybe(EXPERTS), "inputs": several(TURNED)},
                **told(maybe(NUMBER), "base_cost_usd base_cost_usd_per_million_tokens"),
            )
        ),
    },
)

CHECK = document(
    "check",
    1,
    {
        "verdict": VERDICT,
        "method": METHOD,
        "approximate": YES,
        "checks": several(
            thing({"verdict": VERDICT, "value": maybe(NUMBER), **told(TEXT, "name where rule recommendation")})
        ),
    },
)
PREDICT = document("predict", 1, {"law": TEXT, "models": several(thing({"run_id": TEXT, "loss_nats_per_token": SURE_BAND}))})

STEP = thing(told(maybe(SHARE), "layer moe_layer hop memory compute prefill communication"))
COST = document(
    "cost",
    1,
    {
        "bayesmoe_version": TEXT,
        "band": RANGE,
        "architectures": several(
            thing(
                {
                    "architecture": TEXT,
                    "p_feasible": SHARE,
                    "limited_by": {"enum": ["memory", "max_batch", "max_tpot_s", "max_ttft_s", "speed"]},
                    "step_share": STEP,
                    **told(
                        BAND,
                        "weight_bytes memory_bytes n_gpus_per_replica batch_requests tpot_s ttft_s output_tokens_per_s_per_gpu "
                        "serving_usd_per_million_tokens train_tokens train_flop train_usd",
                    ),
                },
                lifetime_usd=BAND,
            )
        ),
    },
)

FINDING = thing(
    {
        **told(TEXT, "kind rule cure"),
        "severity": {"enum": ["wrong", "look"]},
        "column": maybe(TEXT),
        "value": {},
        "rows": several(COUNT),
        "run_ids": several(TEXT),
    }
)
BEST = thing(
    {
        **told(COUNT, "runs_kept most_runs_per_configuration replicate_runs"),
        "median_runs_per_configuration": NUMBER,
        **told(maybe(NUMBER), "seed_sd_nats_per_token bias_nats_per_token most_bias_nats_per_token"),
        "also_differed": several(TEXT),
    }
)
RUNS_CHECK = document(
    "runs_check",
    1,
    {
        "file": TEXT,
        "tool": {"enum": ["Weights & Biases", "MLflow", "Trackio", "plain table"]},
        **told(several(TEXT), "notes not_understood derived missing"),
        **told(COUNT, "runs_read runs_kept"),
        "understood": several(thing(told(TEXT, "column yours unit"))),
        "findings": several(FINDING),
        "left_out": several(thing({"row": COUNT, "run_id": TEXT})),
        "best_of_learning_rate": maybe(BEST),
    },
)

LAW = document(
    "law",
    1,
    {
        **told(TEXT, "name equation source response_unit"),
        "response": {"enum": ["loss", "leverage"]},
        "size_column": maybe(TEXT),
        "paper_size_embeddings": {"enum": ["in", "out", "not stated"]},
        "columns": several(COLUMN),
        "coordinates": several(thing({**told(TEXT, "coordinate support unit meaning"), "prior": BAND})),
        "parameters": several(thing({**told(TEXT, "parameter unit"), "prior": BAND})),
        "parameters_typical_run": several(VALUE),
        "parameters_reference_run": maybe(several(VALUE)),
        "parameters_prior_draws": COUNT,
        "published": several(
            thing({**told(TEXT, "name source grade"), "trap": maybe(TEXT), "coefficients": by_name(maybe(NUMBER))})
        ),
        "fitted_range": FITTED,
        "run": maybe(several(VALUE)),
        "published_at_run": several(thing({"published": TEXT}, **told(maybe(NUMBER), "loss_nats_per_token leverage_ratio"))),
        "warnings": several(TEXT),
    },
)
HYPERPARAMETER_LAW = document(
    "hyperparameter_law",
    1,
    {
        **told(TEXT, "name source grade"),
        "columns": several(COLUMN),
        "quantities": several(thing(told(TEXT, "quantity unit formula spread"))),
        "fitted_range": FITTED,
        **told(several(TEXT), "notes warnings"),
        "run": maybe(several(VALUE)),
        "quantities_at_run": several(thing({**told(TEXT, "quantity unit"), **told(maybe(NUMBER), "value q05 q95")})),
    },
)

SCORE = thing(
    {
        "coverage": thing(told(SHARE, "0.5 0.8 0.9 0.95")),
        **told(NUMBER, "crps_nats_per_token bias_ln band_width_nats_per_token"),
    }
)
BACKTEST = document(
    "backtest",
    1,
    {
        "backtests": several(
            thing(
                {
                    **told(TEXT, "held_out loo_pick"),
                    "runs": several(TEXT),
                    "observed_nats_per_token": several(POSITIVE),
                    "extrapolation_factors": by_name(NUMBER),
                    "weights": by_name(SHARE),
                    "loo": by_name(thing({"elpd_nats": NUMBER, "runs_with_high_k": COUNT})),
                    "relative_error_per_distance": by_name(several(maybe(NUMBER))),
                    "discrepancies": by_name(by_name(thing(told(NUMBER, "shift shift_sd growth_median")))),
                    "forecasts": by_name(SCORE),
                }
            )
        )
    },
)
COMPARE = document(
    "compare",
    1,
    {
        "fits": several(
            thing(
                {
                    **told(TEXT, "fit law"),
                    **told(NUMBER, "elpd_nats elpd_se_nats elpd_below_best_nats elpd_below_best_se_nats"),
                    "stacking_weight": SHARE,
                    "runs_with_high_k": COUNT,
                }
            )
        )
    },
)

ALL = (PLAN, PLANS, NEXT_RUN, SENSITIVITY, CHECK, PREDICT, COST, RUNS_CHECK, LAW, HYPERPARAMETER_LAW, BACKTEST, COMPARE)


def written() -> dict[str, str]:
    """Text of every schema by its file's name."""
    files = {}
    for schema in ALL:
        stamp = schema["properties"]
        name = stamp["schema"]["const"].removeprefix("bayesmoe.")
        files[f"{name}.v{stamp['schema_version']['const']}.json"] = json.dumps(schema, indent=2) + "\n"
    return files


def main() -> None:
    """Write."""
    OUT.mkdir(exist_ok=True)
    for name, text in written().items():
        (OUT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
