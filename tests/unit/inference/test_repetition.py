"""Repetition in a fit: when a table turns it on, what it leaves as it was, and what a fit then says of more passes."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.fitting import fit
from bayesmoe.inference.predict import predict
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.repetition import completed, resolved
from bayesmoe.inference.spec import AverageSpec, FitSpec, LawSpec, PriorSpec, law_of
from bayesmoe.inference.store import FitInfo, load_fit, save_fit
from bayesmoe.laws import law_named, reference_run
from bayesmoe.laws.repetition import PART, Repeated, repeated
from bayesmoe.runs import as_run_table
from bayesmoe.runs.epochs import UNIQUE

TRUTH = {"repeat_decay": 5.0, "excess_decay": 6.0, "size_per_token": 0.05, "overfitting": 0.02}
SAMPLER = {"method": "laplace", "chains": 2, "draws": 200}


def runs_of(passes=(1.0, 2.0, 6.0, 20.0), seed: int = 0) -> pd.DataFrame:
    """Dense runs of two sizes of data and four of models, made by Chinchilla's law with repeats."""
    rows = [
        {"n_total": size, "tokens": unique * epochs, UNIQUE: unique, "num_experts": 1}
        for size in np.geomspace(5e7, 4e9, 4)
        for unique in (1e9, 6e9)
        for epochs in passes
    ]
    frame, law = pd.DataFrame(rows), repeated(law_named("chinchilla"))
    p = {**law.published[1].coefficients, **TRUTH}
    loss = jax.vmap(law.loss, in_axes=(None, 0))(p, {name: frame[name].to_numpy(float) for name in law.covariates})
    noise = 1.0 + 0.003 * np.random.default_rng(seed).standard_normal(len(frame))
    return frame.assign(loss=np.asarray(loss) * noise, n_dense=frame["n_total"])


def spec_of(**law) -> FitSpec:
    return FitSpec(law=LawSpec(**{"name": "chinchilla", **law}))


def fitted(frame: pd.DataFrame, **law) -> xr.DataTree:
    return fit(frame, law=LawSpec(**{"name": "chinchilla", **law}), sampler=SAMPLER, progress=False)


# When it is on


@pytest.mark.parametrize("value", ["sometimes", 3, {"repeat_decay": 15.0}, None])
def test_neither_yes_nor_no_nor_auto_is_refused_in_a_sentence(value) -> None:
    with pytest.raises(InputError, match='repetition: must be true, false or "auto"'):
        LawSpec(name="chinchilla", repetition=value)


@pytest.mark.parametrize(
    ("column", "value"), [("epochs", 0.0), ("epochs", np.inf), ("epochs", "x"), (UNIQUE, -5.0), (UNIQUE, "25B")]
)
def test_models_whose_repeats_are_no_positive_numbers_are_refused(column, value) -> None:
    frame = pd.DataFrame({"n_total": [1e9, 1e9], "tokens": [4e10, 4e10], column: [None, value]})
    with pytest.raises(InputError, match=f"{column}: must be a positive number, found"):
        completed(frame, repeated(law_named("chinchilla")))


def test_models_of_which_nothing_is_said_have_one_epoch() -> None:
    frame = pd.DataFrame({"n_total": [1e9, 1e9], "tokens": [4e10, 4e10], "epochs": ["4", None]})
    assert completed(frame, repeated(law_named("chinchilla")))[UNIQUE].tolist() == [1e10, 4e10]


@pytest.mark.parametrize(
    ("change", "on"),
    [
        pytest.param({}, True, id="distinct tokens"),
        pytest.param({UNIQUE: "tokens"}, False, id="distinct tokens that are all"),
        pytest.param({UNIQUE: None}, False, id="neither"),
        pytest.param({UNIQUE: None, "epochs": 3.0}, True, id="epochs"),
        pytest.param({UNIQUE: None, "epochs": 1.0}, False, id="one epoch each"),
    ],
)
def test_a_table_with_more_than_one_epoch_turns_it_on(change, on) -> None:
    frame = runs_of()
    for name, value in change.items():
        frame = frame.drop(columns=name, errors="ignore")
        if value is not None:
            frame[name] = frame["tokens"] if value == "tokens" else value
    spec, table = resolved(spec_of(), as_run_table(frame))
    assert spec.law.repetition is on
    assert isinstance(law_of(spec.law), Repeated) is on
    if on:
        epochs = change.get("epochs")
        expected = frame["tokens"] / epochs if epochs else frame[UNIQUE]
        np.testing.assert_allclose(table.frame[UNIQUE], expected, rtol=1e-12)
    assert resolved(spec, table)[0] == spec


def test_a_law_without_tokens_is_left_as_it_is() -> None:
    frame = runs_of().assign(num_experts=1)
    spec, _ = resolved(spec_of(name="clark"), as_run_table(frame))
    assert spec.law.repetition is False


def test_a_run_of_which_nothing_is_said_has_one_epoch() -> None:
    frame = runs_of()
    frame.loc[frame.index[::2], UNIQUE] = np.nan
    _, table = resolved(spec_of(), as_run_table(frame))
    np.testing.assert_array_equal(table.frame[UNIQUE][::2], table.frame["tokens"][::2])


def test_it_can_be_asked_for_and_turned_off() -> None:
    once = runs_of(passes=(1.0,))
    assert resolved(spec_of(repetition=True), as_run_table(once))[0].law.repetition is True
    assert resolved(spec_of(repetition=False), as_run_table(runs_of()))[0].law.repetition is False
    assert law_of(LawSpec(name="chinchilla")) == law_named("chinchilla")


# Bad input


def test_asked_for_without_distinct_tokens_is_one_sentence() -> None:
    with pytest.raises(InputError) as caught:
        fitted(runs_of().drop(columns=UNIQUE), repetition=True)
    assert str(caught.value) == (
        "a DataFrame, unique_tokens: is needed by law.repetition = true; add the distinct tokens of each run, or its passes over them as "
        "epochs; or leave law.repetition out."
    )


def test_asked_of_a_law_without_tokens_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"law\.repetition: the law 'clark' reads no tokens"):
        fitted(runs_of(), name="clark", repetition=True)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        (UNIQUE, -1.0, "unique_tokens: must be positive, found -1.0; give the distinct training tokens"),
        ("epochs", 0.0, "epochs: must be positive, found 0.0; give passes over the distinct tokens, 1 where none repeats"),
        ("epochs", "twice", "epochs: must be a number, found 'twice'; write plain numbers"),
    ],
)
def test_a_column_that_cannot_stand_names_row_and_value(column, value, says) -> None:
    frame = runs_of().assign(epochs=2.0).astype({"epochs": object})
    frame.loc[frame.index[0], column] = value
    with pytest.raises(InputError) as caught:
        as_run_table(frame)
    assert f"row 2, {says}" in str(caught.value)


def test_laws_of_an_average_agree_on_it() -> None:
    laws = [LawSpec(name="chinchilla", repetition=True), LawSpec(name="nested", repetition=False)]
    with pytest.raises(InputError, match=r"law\.repetition: differs between the laws of an average"):
        fit(runs_of(), law=laws, sampler=SAMPLER, progress=False)


# What it leaves as it was


def test_a_table_of_one_epoch_fits_as_if_it_did_not_say_so() -> None:
    frame = runs_of(passes=(1.0,))
    with_column, without = fitted(frame), fitted(frame.drop(columns=UNIQUE))
    for node in ("posterior", "posterior_predictive", "log_likelihood"):
        xr.testing.assert_equal(with_column[node].dataset, without[node].dataset)
    ours, theirs = FitInfo.read(with_column), FitInfo.read(without)
    assert ours.gate == theirs.gate
    assert ours.spec == theirs.spec
    assert set(with_column["constant_data"].data_vars) == set(without["constant_data"].data_vars)


# What a fit then says


@pytest.fixture(scope="module")
def several() -> xr.DataTree:
    return fitted(runs_of())


def test_a_fit_keeps_it_through_its_file(several, tmp_path) -> None:
    save_fit(several, tmp_path / "fit.nc")
    info = FitInfo.read(load_fit(tmp_path / "fit.nc"))
    assert info.law_name == "chinchilla"
    assert info.law == repeated(law_named("chinchilla"))
    assert info.spec.law.repetition is True
    assert [one.name for one in info.coordinates][-len(PART) :] == [one.name for one in PART]


def test_models_without_passes_have_one_epoch(several) -> None:
    models = pd.DataFrame({"n_total": [1e9, 1e9, 1e9], "tokens": [4e10, 4e10, 4e10]})
    once = predict(several, models)["expected"].values
    np.testing.assert_array_equal(once, predict(several, models.assign(epochs=1.0))["expected"].values)
    np.testing.assert_array_equal(once, predict(several, models.assign(unique_tokens=9e10))["expected"].values)
    more = predict(several, models.assign(epochs=[1.0, 4.0, 40.0]))["expected"].values
    assert (more[:, 1] > more[:, 0]).all()
    assert (more[:, 2] > more[:, 1]).all()
    same = predict(several, models.assign(unique_tokens=[4e10, 1e10, 1e9]))["expected"].values
    np.testing.assert_allclose(same, more, rtol=1e-12)


def test_priors_of_the_part_are_given_like_others() -> None:
    narrow = {"repeat_decay": PriorSpec(median=15.4, sd=1e-3)}
    found = fitted(runs_of(), priors=narrow)["posterior"]["repeat_decay"]
    assert float(abs(found - 15.4).max()) < 0.1


def test_completing_leaves_tables_of_other_laws_alone() -> None:
    frame = runs_of()
    assert completed(frame, law_named("chinchilla")) is frame


def test_slopes_along_tokens_are_those_of_more_data_not_of_more_passes() -> None:
    """At six passes a repeat is worth little, and more data as much as ever."""
    table = as_run_table(runs_of())
    found = {}
    for repetition in (True, False):
        refits = Refits(spec_of(repetition=repetition), table)
        places = refits.fit(np.ones(len(table.frame), dtype=bool), axes=("n_total", "tokens"))
        found[repetition] = places["slope"].sel(axis="tokens").values
    worn = (refits.frame["tokens"] / refits.frame[UNIQUE] > 10).to_numpy()
    assert (found[True][worn] > 1.2 * found[False][worn]).all()


def test_an_average_passes_it_on() -> None:
    spec = FitSpec(law=LawSpec(repetition=True), average=AverageSpec(laws=("chinchilla", "nested")))
    assert with_law(spec, "nested", "n_total").law.repetition is True
    plain = dataclasses.replace(spec, law=LawSpec())
    assert resolved(with_law(plain, "nested", "n_total"), as_run_table(runs_of()))[0].law.repetition is True
    reference = reference_run(runs_of(), repeated(law_named("chinchilla")))
    assert set(reference.run) == {"n_total", "tokens", UNIQUE}
