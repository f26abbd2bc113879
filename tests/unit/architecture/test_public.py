"""Public models against the counts that their makers publish, and shapes from files, whole and broken."""

from __future__ import annotations

import pytest

from bayesmoe.architecture import Experts, Heads, Latent, Linear, Shape, public_models, public_shape, read_shape
from bayesmoe.errors import InputError

PLAIN = "num_layers = 4\nd_model = 64\nvocab = 100\n"
DENSE = PLAIN + "d_ff = 128\n"
HEADS = "[attention]\nkind = 'heads'\nnum_heads = 4\nnum_kv_heads = 2\nhead_dim = 16\n"
LATENT = "[attention]\nkind = 'latent'\nnum_heads = 4\nkv_rank = 16\nrope_dim = 4\nnope_dim = 8\nvalue_dim = 8\n"
EXPERTS = "[experts]\nnum_experts = 4\ntop_k = 2\nd_expert = 32\n"


@pytest.fixture
def read(tmp_path):
    """Read a text as a shape, and return it or what its error says after the file it names."""

    def reading(text: str) -> Shape | str:
        (tmp_path / "shape.toml").write_text(text)
        try:
            return read_shape("shape.toml", folder=tmp_path)
        except InputError as error:
            return str(error).removeprefix(str(tmp_path / "shape.toml"))

    return reading


@pytest.mark.parametrize("name", public_models())
def test_all_parameters_are_those_published(name):
    model = public_models()[name]
    # The published count of llama-4-scout holds a vision encoder.
    within = 0.012 if name == "llama-4-scout" else 0.01
    assert model.shape.n_total + model.shape.n_embedding == pytest.approx(model.n_total_published, rel=within)


@pytest.mark.parametrize("name", public_models())
def test_active_parameters_are_those_published_with_one_embedding_or_two(name):
    model = public_models()[name]
    counts = [model.shape.n_active + model.shape.n_head, model.shape.n_active + model.shape.n_embedding]
    # Two published digits.
    assert any(count == pytest.approx(model.n_active_published, rel=0.025) for count in counts)


def test_there_are_a_dozen_models_with_sources_and_names():
    models = public_models()
    assert len(models) >= 12
    assert all(model.shape.source for model in models.values())
    assert len({model.shape.name for model in models.values()}) == len(models)
    assert all(name == model.shape.name.lower() or name.startswith(("llama-4", "mi")) for name, model in models.items())


@pytest.mark.parametrize(
    ("name", "attention"),
    [
        ("mixtral-8x7b", Heads(num_heads=32, num_kv_heads=8, head_dim=128)),
        ("deepseek-v2-lite", Latent(num_heads=16, kv_rank=512, rope_dim=64, nope_dim=128, value_dim=128)),
        ("qwen3.6-27b", Heads(num_heads=24, num_kv_heads=4, head_dim=256, gated=True)),
    ],
)
def test_a_model_is_found_by_name(name, attention):
    assert public_shape(name) == read_shape(name) == public_models()[name].shape
    assert public_shape(name).attention == attention


@pytest.mark.parametrize("look_up", [public_shape, read_shape])
def test_an_unknown_name_is_told_the_nearest(look_up):
    with pytest.raises(InputError) as caught:
        look_up("mixtral-8x7")
    assert str(caught.value) == "architecture: is not a known model, found 'mixtral-8x7'; did you mean 'mixtral-8x7b'?"


@pytest.mark.parametrize("look_up", [public_shape, read_shape])
def test_a_name_near_no_model_is_told_them_all(look_up):
    with pytest.raises(InputError) as caught:
        look_up("zzz")
    assert f"known: {', '.join(sorted(public_models()))}." in str(caught.value)


def test_a_dense_file_becomes_a_shape(read):
    assert read(DENSE + HEADS) == Shape(
        num_layers=4, d_model=64, vocab=100, d_ff=128, attention=Heads(num_heads=4, num_kv_heads=2, head_dim=16)
    )


def test_a_full_file_becomes_a_shape(read):
    top = (
        DENSE + "name = 'mine'\nnum_dense_layers = 1\nlinear_layers = 1\nwindow_layers = 2\nwindow_tokens = 8\nmembers = 2\n"
    )
    linear = "[linear]\nkey_heads = 1\nvalue_heads = 2\nkey_dim = 3\nvalue_dim = 4\n"
    assert read(top + LATENT + EXPERTS + linear) == Shape(
        name="mine",
        num_layers=4,
        d_model=64,
        vocab=100,
        d_ff=128,
        attention=Latent(num_heads=4, kv_rank=16, rope_dim=4, nope_dim=8, value_dim=8),
        experts=Experts(num_experts=4, top_k=2, d_expert=32),
        num_dense_layers=1,
        linear_layers=1,
        linear=Linear(key_heads=1, value_heads=2, key_dim=3, value_dim=4),
        window_layers=2,
        window_tokens=8,
        members=2,
    )


def test_a_file_is_found_by_its_whole_path(tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text(DENSE + HEADS)
    monkeypatch.chdir(tmp_path)
    assert read_shape(path) == read_shape(str(path)) == read_shape("mine.toml")
    assert read_shape(path, folder=tmp_path / "elsewhere") == read_shape(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        read_shape("none.toml", folder=tmp_path)
    assert str(caught.value) == f"{tmp_path / 'none.toml'}: no such file; check the path."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("d_mode = 64\n" + DENSE + HEADS, ", d_mode: is not a known key; did you mean 'd_model'?"),
        (DENSE + HEADS + EXPERTS + "topk = 2\n", ", experts.topk: is not a known key; did you mean 'top_k'?"),
        (DENSE, ", attention: is required; add it."),
        (DENSE + HEADS + "[experts]\nnum_experts = 4\ntop_k = 2\n", ", experts.d_expert: is required; add it."),
        (DENSE.replace("64", "0") + HEADS, ", d_model: should be greater than or equal to 1, found 0."),
        (
            DENSE + HEADS + EXPERTS.replace("top_k = 2", "top_k = 5"),
            ", experts: top_k must be at most num_experts (4).",
        ),
        (PLAIN + HEADS, ": d_ff is needed: some layers are dense."),
        (PLAIN + "num_dense_layers = 1\n" + HEADS + EXPERTS, ": d_ff is needed: some layers are dense."),
        (PLAIN + "moe_every = 2\n" + HEADS + EXPERTS, ": d_ff is needed: some layers are dense."),
        (DENSE + "num_dense_layers = 5\n" + HEADS + EXPERTS, ": num_dense_layers must be at most num_layers (4)."),
        (DENSE + "window_layers = 2\n" + HEADS, ": window_layers and window_tokens go together."),
        (DENSE + "window_tokens = 2\n" + HEADS, ": window_layers and window_tokens go together."),
        (DENSE + "linear_layers = 2\n" + HEADS, ": linear_layers and linear go together."),
        (
            DENSE + "window_layers = 5\nwindow_tokens = 2\n" + HEADS,
            ": window_layers and linear_layers must be at most num_layers (4) together.",
        ),
        (DENSE + "members = 2\n" + HEADS, ": members needs experts to share out."),
        (
            DENSE + "members = 3\n" + HEADS + EXPERTS,
            ": members must divide num_experts (4) and leave top_k to each.",
        ),
    ],
)
def test_a_broken_file_is_told_in_one_sentence(read, text, says):
    assert read(text) == says


@pytest.mark.parametrize("num_kv_heads", [3, 8])
def test_key_heads_that_do_not_divide_are_told_with_the_rule(read, num_kv_heads):
    told = read(DENSE + HEADS.replace("num_kv_heads = 2", f"num_kv_heads = {num_kv_heads}"))
    assert told.startswith(", attention")
    assert told.endswith(": num_kv_heads must divide num_heads (4).")


def test_an_unknown_kind_of_attention_is_told_with_the_known_ones(read):
    told = read(DENSE + HEADS.replace("'heads'", "'linear'"))
    assert told.startswith(", attention: ")
    assert "'heads', 'latent'" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (DENSE + HEADS + "num_head = 4\n", ", attention.num_head: is not a known key; did you mean 'num_heads'?"),
        (DENSE + LATENT + "query_rnk = 4\n", ", attention.query_rnk: is not a known key; did you mean 'query_rank'?"),
        (DENSE + HEADS.replace("num_heads = 4\n", ""), ", attention.num_heads: is required; add it."),
        (
            DENSE + HEADS.replace("num_kv_heads = 2", "num_kv_heads = 0"),
            ", attention.num_kv_heads: should be greater than or equal to 1, found 0.",
        ),
    ],
)
def test_keys_of_attention_are_named_as_they_are_written(read, text, says):
    assert read(text) == says
