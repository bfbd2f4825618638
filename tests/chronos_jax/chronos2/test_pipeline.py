import itertools
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from reference import walks, write_random_checkpoint

from chronos_jax import Chronos2Config, Chronos2Pipeline
from chronos_jax.chronos2.embedding import _encode
from chronos_jax.chronos2.random_weights import SIZES
from chronos_jax.sharding import make_mesh

D_MODEL = SIZES["tiny"].d_model


def test_importing_does_nothing():
    """No array, no device, no library that is not needed: importing takes no JAX backend."""
    code = (
        "import chronos_jax, sys; assert 'jax' not in sys.modules; from chronos_jax import Chronos2Pipeline; "
        "import jax; assert not jax._src.xla_bridge._backends; assert 'torch' not in sys.modules; "
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_properties_are_those_of_the_configuration(pipeline):
    assert pipeline.model_context_length == 8192
    assert pipeline.model_output_patch_size == 16
    assert pipeline.max_output_patches == 64
    assert pipeline.model_prediction_length == 1024
    assert pipeline.quantiles == list(SIZES["tiny"].quantiles)


def test_embeddings_have_the_positions_of_each_inputs_own_length(pipeline, ragged):
    embeddings, scales = pipeline.embed(ragged)
    for x, embedding, (loc, scale) in zip(ragged, embeddings, scales, strict=True):
        assert embedding.shape == (x.shape[0], -(-x.shape[1] // 16) + 2, D_MODEL)
        assert loc.shape == scale.shape == (x.shape[0], 1)
        np.testing.assert_allclose(loc[:, 0], x.mean(1), rtol=1e-4, atol=1e-5)


def test_an_embedding_does_not_depend_on_the_other_inputs_their_order_or_the_batch_size(pipeline, ragged):
    embeddings, _ = pipeline.embed(ragged)
    order = np.random.default_rng(1).permutation(len(ragged))
    shuffled, _ = pipeline.embed([ragged[i] for i in order], batch_size=7)
    alone = [pipeline.embed([x])[0][0] for x in ragged]
    for i, expected in enumerate(alone):
        atol = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(embeddings[i], expected, rtol=0, atol=atol)
        np.testing.assert_allclose(shuffled[list(order).index(i)], expected, rtol=0, atol=atol)


def test_an_embedding_is_the_same_bit_for_bit_where_shapes_agree(pipeline):
    x = walks(8, 3, 50)
    others = -5 * walks(8, 3, 50, seed=4)
    expected, _ = pipeline.embed(x)
    reverse, _ = pipeline.embed(x[::-1].copy())
    for i in range(8):
        among_others = others.copy()
        among_others[7 - i] = x[i]
        np.testing.assert_array_equal(pipeline.embed(among_others)[0][7 - i], expected[i])
        np.testing.assert_array_equal(reverse[7 - i], expected[i])


@pytest.mark.parametrize("pooling", ["mean", "max", "reg", "last"])
def test_pooling_is_that_of_the_unpooled_embedding(pipeline, pooling):
    """Without missing values, pooling can be done by hand on what embed returns without it."""
    inputs = [walks(3, 50), walks(3, 64), walks(3, 49)]
    embeddings, _ = pipeline.embed(inputs)
    by_hand = {
        "mean": lambda x: x[:, :-2].mean((0, 1)),
        "max": lambda x: x[:, :-2].max((0, 1)),
        "reg": lambda x: x[:, -2].mean(0),
        "last": lambda x: x[:, -3].mean(0),
    }[pooling]
    pooled = pipeline.embed(inputs, pooling=pooling)
    assert pooled.shape == (3, D_MODEL)
    np.testing.assert_allclose(pooled, np.stack([by_hand(x) for x in embeddings]), rtol=1e-5, atol=1e-5)


def test_without_pooling_variates_there_is_a_vector_for_each(pipeline):
    by_variate = pipeline.embed([walks(3, 50), walks(1, 50)], pooling="mean", pool_variates=False)
    assert [x.shape for x in by_variate] == [(3, D_MODEL), (1, D_MODEL)]


def test_padding_is_never_pooled(pipeline):
    x = walks(3, 50)
    late = np.concatenate([np.full((3, 70), np.nan, np.float32), x], axis=1)
    for pooling in ("mean", "max", "last"):
        expected = pipeline.embed([x] * 3, pooling=pooling)
        np.testing.assert_allclose(pipeline.embed([late], pooling=pooling)[0], expected[0], rtol=0, atol=1e-5)


def test_layers(pipeline):
    x = walks(2, 3, 50)
    last = SIZES["tiny"].num_layers
    np.testing.assert_array_equal(pipeline.embed(x, layer=last)[0][0], pipeline.embed(x)[0][0])
    outputs = [pipeline.embed(x, layer=layer, pooling="mean") for layer in (0, 1, -1)]
    assert all(np.abs(a - b).max() > 1e-2 for a, b in itertools.pairwise(outputs))


def test_attention_weights_have_the_positions_of_each_inputs_own_length(pipeline):
    inputs = [{"target": walks(t), "past_covariates": {"a": walks(t, seed=1)}} for t in (17, 60)]
    layers, heads = SIZES["tiny"].num_layers, SIZES["tiny"].num_heads
    for x, (time, group) in zip(inputs, pipeline.attention_weights(inputs, 20), strict=True):
        positions = -(-len(x["target"]) // 16) + 1 + 2
        assert time.shape == (layers, 2, heads, positions, positions)
        assert group.shape == (layers, positions, heads, 2, 2)
        np.testing.assert_allclose(time.sum(-1), 1, rtol=1e-5)
        np.testing.assert_allclose(group.sum(-1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="beyond the 1024 steps"):
        pipeline.attention_weights(inputs, 1025)


def test_a_context_length_uses_the_last_steps(pipeline):
    x = walks(2, 100)
    np.testing.assert_array_equal(pipeline.embed([x], context_length=37)[0][0], pipeline.embed([x[:, -37:]])[0][0])


def test_a_second_call_with_other_lengths_of_the_same_buckets_compiles_nothing(pipeline):
    pipeline.embed([walks(3, t) for t in (18, 50, 64)] * 3)
    before = _encode._cache_size()
    pipeline.embed([walks(3, t, seed=5) for t in (32, 49, 58)] * 3)
    assert _encode._cache_size() == before


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_a_mesh_spreads_batch_and_parameters_and_gives_the_same_numbers(pipeline, shape):
    spread = Chronos2Pipeline.from_pretrained("random:tiny", mesh=make_mesh(shape))
    kernel = spread.params["encoder"]["blocks"]["mlp"]["wi"]["kernel"]
    shards = shape.get("fsdp", 1) * shape.get("tensor", 1)
    assert kernel.addressable_shards[0].data.size * shards == kernel.size
    x = walks(11, 3, 50)  # no multiple of the eight devices
    np.testing.assert_allclose(spread.embed(x, pooling="mean"), pipeline.embed(x, pooling="mean"), rtol=0, atol=1e-5)


def test_histories_with_nothing_observed_are_warned_of_and_finite(pipeline):
    with pytest.warns(UserWarning, match="nothing is observed in the target of input 1:"):
        embeddings, scales = pipeline.embed([walks(20), np.full((2, 20), np.nan)])
    assert all(np.isfinite(x).all() for x in embeddings)
    np.testing.assert_array_equal(np.concatenate(scales[1], axis=1), [[0, 1], [0, 1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 9}, "layer must lie between"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1"),
        ({"context_length": 0}, "context_length must be a whole number, at least 1"),
    ],
)
def test_arguments_are_checked_before_anything_runs(pipeline, arguments, message):
    with pytest.raises(ValueError, match=message):
        pipeline.embed([walks(20)], **arguments)


def test_a_context_length_beyond_the_models_is_cut_with_a_warning(pipeline):
    with pytest.warns(UserWarning, match="context_length 9000 is beyond the model's 8192"):
        pipeline.embed([walks(20)], context_length=9000)


@pytest.mark.parametrize("dtype", ["bfloat16", jnp.bfloat16, np.dtype(jnp.bfloat16), "torch.bfloat16"])
def test_types_are_given_as_users_of_any_library_give_them(dtype):
    if dtype == "torch.bfloat16":
        dtype = pytest.importorskip("torch", reason="torch is not installed (extra: test)").bfloat16
    pipeline = Chronos2Pipeline.from_pretrained("random:tiny", dtype=dtype)
    assert pipeline.params["shared"]["embedding"].dtype == jnp.bfloat16


def test_the_older_name_of_the_type_is_taken():
    pipeline = Chronos2Pipeline.from_pretrained("random:tiny", torch_dtype="bfloat16", device_map=None)
    assert pipeline.params["shared"]["embedding"].dtype == jnp.bfloat16


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="'float32' or 'bfloat16', found 'float16'"):
        Chronos2Pipeline.from_pretrained("random:tiny", dtype="float16")


def test_a_device_is_given_by_name():
    here = Chronos2Pipeline.from_pretrained("random:tiny", device_map="cpu:3")
    assert [d.id for d in here.params["shared"]["embedding"].devices()] == [3]
    assert here.embed([walks(20)], pooling="mean").shape == (1, D_MODEL)
    with pytest.raises(ValueError, match="no device 'cuda'"):
        Chronos2Pipeline.from_pretrained("random:tiny", device_map="cuda")
    with pytest.raises(ValueError, match="give one of them"):
        Chronos2Pipeline.from_pretrained("random:tiny", device_map="cpu", mesh=make_mesh())


def test_dictionaries_are_embedded_with_their_covariates(pipeline):
    x, covariate = walks(2, 50), walks(50, seed=1)
    (embedding,), _ = pipeline.embed([{"target": x, "past_covariates": {"a": covariate}}])
    (together,), _ = pipeline.embed([np.concatenate([x, covariate[None]])])
    np.testing.assert_array_equal(embedding, together[:2])
    pooled = pipeline.embed([{"target": x, "past_covariates": {"a": covariate}}], pooling="mean")
    np.testing.assert_allclose(pooled[0], together[:2, :-2].mean((0, 1)), rtol=1e-4, atol=1e-5)


def test_a_checkpoint_loads_as_it_was_saved(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "saved")
    again = Chronos2Pipeline.from_pretrained(tmp_path / "saved")
    assert again.config == pipeline.config
    assert again.fingerprint == pipeline.fingerprint
    assert Chronos2Pipeline.from_pretrained("random:tiny@1").fingerprint != pipeline.fingerprint
    assert Chronos2Pipeline.from_pretrained("random:tiny", dtype="bfloat16").fingerprint != pipeline.fingerprint


def test_parameters_that_are_not_those_of_the_configuration_are_refused(pipeline):
    with pytest.raises(ValueError, match=r"shared\.embedding has shape"):
        Chronos2Pipeline(SIZES["chronos-2-small"], pipeline.params)


def test_random_weights_have_no_revision():
    with pytest.raises(ValueError, match="neither revision nor base"):
        Chronos2Pipeline.from_pretrained("random:tiny", revision="main")


def test_saving_over_something_is_refused_unless_asked_for(pipeline, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="overwrite"):
        pipeline.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_context_of_any_length_and_a_model_without_deciles_work(tmp_path):
    """Five patches: buckets of lengths end there, else six would be read from a context of five."""
    config = Chronos2Config(
        d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, context_length=75, quantiles=(0.25, 0.5, 0.75)
    )
    pipeline = Chronos2Pipeline.from_pretrained(write_random_checkpoint(tmp_path / "short", config))
    x = walks(2, 200)
    (embedding,), _ = pipeline.embed([x])
    assert embedding.shape == (2, 7, 16)
    np.testing.assert_allclose(
        pipeline.embed([x], pooling="mean")[0], embedding[:, :5].mean((0, 1)), rtol=1e-4, atol=1e-5
    )
    assert pipeline.predict([x], 20)[0].shape == (2, 3, 20)
    with pytest.raises(ValueError, match="subset of the model's quantiles"):
        pipeline.predict([x], 40, max_output_patches=2)
    long = pipeline.predict([x], 40, max_output_patches=2, unrolled_quantiles=[0.25, 0.75])
    assert np.isfinite(long[0]).all()


def test_a_model_without_reg_token_and_arcsinh_works(tmp_path):
    config = Chronos2Config(
        d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, use_reg_token=False, use_arcsinh=False
    )
    folder = write_random_checkpoint(tmp_path / "plain", config)
    embeddings, _ = Chronos2Pipeline.from_pretrained(folder).embed([walks(2, 40)])
    assert embeddings[0].shape == (2, 4, 16)
