import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparison import BOUND
from flax import nnx
from reference import CASES, Case, reference_pipeline, walks, write_random_checkpoint

from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2.grouping import group_layout
from chronos_jax.chronos2.random_weights import SIZES


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_random_checkpoint(tmp_path_factory.mktemp("checkpoint"), SIZES["tiny"])


@pytest.fixture(scope="module")
def pipeline(checkpoint):
    return Chronos2Pipeline.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def reference(checkpoint):
    return reference_pipeline(checkpoint)


@pytest.fixture(scope="module")
def encode(pipeline):
    """context, static keyword arguments, arrays → encoded, jitted."""
    graphdef, state = nnx.split(pipeline.model)

    def call(context, *, layer=-1, output_attentions=True, num_output_patches=1, **arrays):
        @jax.jit
        def encoded(state, context, arrays):
            return nnx.merge(graphdef, state).encode(
                context,
                layer=layer,
                output_attentions=output_attentions,
                num_output_patches=num_output_patches,
                **arrays,
            )

        return jax.device_get(encoded(state, jnp.asarray(context), arrays))

    return call


@pytest.fixture(scope="module")
def uneven(encode):
    """Two variates and a place that fills up, the second starting late; and a group of one. One future patch of two."""
    context = walks(2, 3, 64)
    context[0, 1, :32] = np.nan
    variates = np.array([[True, True, False], [True, False, False]])
    return encode(context, variate_mask_GxV=variates, num_output_patches=2, valid_output_patches=1)


def reference_weights(reference, case: Case):
    """Time (L, B, A, S, S) and group (L, S, A, B, B)."""
    import torch

    with torch.no_grad():
        encoded, *_ = reference.model.encode(
            context=torch.tensor(case.context_BxT),
            group_ids=torch.tensor(case.group_ids_B),
            future_covariates=None if case.future_BxH is None else torch.tensor(case.future_BxH),
            num_output_patches=case.num_output_patches,
            output_attentions=True,
        )
    weights = encoded.all_time_self_attn_weights, encoded.all_group_self_attn_weights
    return [np.stack([layer.numpy() for layer in layers]) for layers in weights]


@pytest.mark.parametrize(
    "name", ["univariate, 17 steps", "ragged", "NaN inside", "all-missing series", "future covariates", "mixed groups"]
)
def test_the_weights_agree_with_the_reference(name, encode, reference):
    case = CASES[name]()
    layout = group_layout(case.group_ids_B)
    encoded = encode(
        layout.scatter(case.context_BxT),
        variate_mask_GxV=layout.variate_mask_GxV,
        future_GxVxH=None if case.future_BxH is None else layout.scatter(case.future_BxH),
        num_output_patches=case.num_output_patches,
    )
    time, group = encoded.attentions
    valid_BxS = layout.gather(encoded.mask_GxVxS)
    expected_time, expected_group = reference_weights(reference, case)
    assert len(time) == len(group) == len(expected_time) == SIZES["tiny"].num_layers

    time_BxSxLxAxS = layout.gather(np.moveaxis(time, (1, 2, 4), (0, 1, 2)))
    expected_BxSxLxAxS = np.moveaxis(expected_time, (1, 3), (0, 1))
    np.testing.assert_allclose(time_BxSxLxAxS[valid_BxS], expected_BxSxLxAxS[valid_BxS], rtol=0, atol=BOUND)

    for b, (g, v) in enumerate(zip(layout.group_B, layout.variate_B, strict=True)):
        others = np.flatnonzero(case.group_ids_B == case.group_ids_B[b])
        ours_LxSxAxV = group[:, g, valid_BxS[b], :, v]
        expected_LxSxAxB = expected_group[:, valid_BxS[b], :, b]
        np.testing.assert_allclose(
            ours_LxSxAxV[..., layout.variate_B[others]], expected_LxSxAxB[..., others], rtol=0, atol=BOUND
        )
        np.testing.assert_array_equal(ours_LxSxAxV[..., others.size :], 0)


def test_rows_sum_to_one_and_keys_that_do_not_count_have_no_weight(uneven):
    time, group = uneven.attentions
    for weights, keys in ((time, uneven.mask_GxVxS), (group, uneven.mask_GxVxS.swapaxes(1, 2))):
        keys = np.broadcast_to(keys[None, :, :, None, None], weights.shape)
        np.testing.assert_array_equal(weights[~keys], 0)
        np.testing.assert_allclose(weights.sum(-1), keys.any(-1), rtol=1e-5)
        assert keys.any(-1).any()
        assert not keys.any(-1).all()


def test_lone_series_attend_to_themselves_alone(encode, uneven):
    context = walks(2, 1, 64)
    context[0, 0, :16] = np.nan
    encoded = encode(context)
    heads = SIZES["tiny"].num_heads
    assert encoded.attentions.group.shape == (SIZES["tiny"].num_layers, 2, 6, heads, 1, 1)
    counts = np.broadcast_to(encoded.mask_GxVxS[:, 0, :, None], encoded.attentions.group.shape[1:4])
    assert not counts.all()
    for group in encoded.attentions.group[..., 0, 0]:
        np.testing.assert_array_equal(group, counts)
    np.testing.assert_array_equal(uneven.attentions.group[:, 1, :-1, :, 0, 0], 1)  # among places that only fill up


def test_only_the_blocks_before_the_layer_have_weights(encode, uneven):
    context = walks(2, 2, 64)
    every, first = (encode(context, layer=layer).attentions for layer in (-1, 1))
    for all_layers, one in zip(every, first, strict=True):
        assert len(one) == 1
        np.testing.assert_allclose(one, all_layers[:1], rtol=1e-5, atol=1e-7)
    assert encode(context, layer=0).attentions.time.shape[0] == 0


def test_the_weights_are_float32_in_bfloat16():
    model = Chronos2Pipeline.from_pretrained("random:tiny", dtype="bfloat16").model
    encoded = jax.eval_shape(lambda: model.encode(jnp.zeros((1, 2, 16)), output_attentions=True))
    assert {weights.dtype for weights in encoded.attentions} == {jnp.dtype("float32")}


@pytest.mark.parametrize("output_attentions", [False, True])
def test_weights_that_nobody_asks_for_are_not_kept(output_attentions, pipeline):
    """Also where the model runs outside jit, so that no compiler drops them."""
    model = pipeline.model
    jaxpr = jax.make_jaxpr(lambda x: model.encode(x, output_attentions=output_attentions))(jnp.zeros((1, 2, 16)))
    (scan,) = [equation for equation in jaxpr.eqns if equation.primitive.name == "scan"]
    assert len(scan.outvars) == (3 if output_attentions else 1)


def test_asking_for_the_weights_changes_nothing_else(encode):
    context = walks(2, 2, 64)
    asked, plain = (encode(context, output_attentions=output_attentions) for output_attentions in (True, False))
    assert plain.attentions is None
    np.testing.assert_allclose(asked.hidden_GxVxSxD, plain.hidden_GxVxSxD, rtol=1e-5, atol=1e-5)
