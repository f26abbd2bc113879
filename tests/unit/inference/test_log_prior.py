"""Log priors: those of the model, up to the measure."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers

from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_prior import log_prior
from bayesmoe.inference.model import scaling_law
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import GroupSpec, law_of, load_table
from bayesmoe.laws import law_named


@pytest.mark.parametrize("grouped", [False, True])
def test_sums_are_the_models_own(small_spec, grouped) -> None:
    """Differences between draws of the sum are those of the traced model's prior sites, with each density's measure taken back."""
    table = load_table(small_spec.data, None)
    spec = small_spec
    if grouped:
        table.frame["group"] = np.where(np.arange(len(table.frame)) % 2, "a", "b")
        spec = type(spec)(data=spec.data, law=spec.law, groups=GroupSpec())
    law = law_of(spec.law)
    frame, structure, data = arrange(table, law, coordinates_of(law, {}), spec)
    assert bool(structure.pooled) == grouped
    loss = jnp.asarray(frame["loss"].to_numpy())
    traces = [handlers.trace(handlers.seed(scaling_law, seed)).get_trace(structure, data, None) for seed in range(4)]
    ours = [sum(log_prior(structure, {name: site["value"] for name, site in trace.items()}).values()) for trace in traces]
    for trace, found in zip(traces, ours, strict=True):
        expected = 0.0
        for name, site in trace.items():
            if site["type"] != "sample" or site["is_observed"] or name.endswith("_base") or name == law.response:
                continue
            fn, value = site["fn"], site["value"]
            # A transformed normal's density at its base value carries no measure.
            base = getattr(fn, "base_dist", fn)
            for step in reversed(getattr(fn, "transforms", [])):
                value = step.inv(value)
            expected += float(base.log_prob(value))
        assert found == pytest.approx(expected, rel=1e-6)
    assert loss.shape == data.weight.shape


def test_a_fit_has_them(small_fit) -> None:
    names = set(small_fit["log_prior"].data_vars)
    assert names == {c.name for c in law_named("yun").coordinates} | {"noise_scale", "noise_df"}
    assert small_fit["log_prior"].sizes == small_fit["posterior"].sizes
