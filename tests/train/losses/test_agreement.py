"""The forms of a loss that never hold the matrix of logits give what the form that does gives."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronos_jax.sharding import make_mesh, named_sharding
from train.losses import Contrast, Matches, Negatives, make_loss

BATCH, WIDTH, CAPTIONS, EXTRA = 40, 16, 3, 4
MESHES = [(1, 1, 1), (8, 1, 1), (2, 2, 2), (2, 1, 1), (4, 1, 1), (2, 1, 4)]  # others in test_float64
KINDS = ["infonce", "sigmoid", "focal_sigmoid"]
TILE = 4  # of 40, 5, 10 or 20 windows on a device: divides the first and the last


class Inputs(NamedTuple):
    sensor_BxD: Any
    text_BxD: Any
    scale: Any
    bias: Any
    cosine_BxK: Any
    valid_BxK: Any
    matches: Matches


def draw(
    seed: int, scale: float, bias: float, common: float = 0.0, captions: int = BATCH, valid: float = 0.5
) -> Inputs:
    """A batch.

    Args:
        seed: Of everything random.
        scale: Of logits.
        bias: Of logits.
        common: What all embeddings have in common, in deviations of what they do not.
        captions: How many different captions there are; the fewer, the more windows share them.
        valid: Share of the further negatives that count.
    """
    random = np.random.default_rng(seed)
    centre = common * random.standard_normal(WIDTH)
    sensor, text, others = (centre + random.standard_normal((n, WIDTH)) for n in (BATCH, BATCH, EXTRA))
    sensor, text, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (sensor, text, others))
    # Multiples of 2^-11 make every sum of products exact, so that cosines do not depend on the order of summation, and
    # what is compared is what the forms make of equal cosines.
    sensor, text, others = (np.round(x * 2**11) / 2**11 for x in (sensor, text, others))
    own = random.integers(0, captions, (BATCH, CAPTIONS))
    own[:, 1:][random.random((BATCH, CAPTIONS - 1)) < 0.5] = -1
    matches = Matches(own.astype(np.int32), own[:, 0].astype(np.int32))
    numbers = [np.float32(x) for x in (scale, bias)]
    mask = random.random((BATCH, EXTRA)) < valid
    mask[::3] = False  # some windows found no negative
    arrays = [x.astype(np.float32) for x in (sensor, text, sensor @ others.T)]
    return Inputs(arrays[0], arrays[1], *numbers, arrays[2], mask, matches)


@cache
def gradient(kind: Any, form: Any, shape: tuple[int, int, int], negatives: bool = True) -> Callable[..., Any]:
    """((loss, accuracies), gradients) of a batch that is split over a mesh."""
    devices = jax.devices()[: np.prod(shape)]
    mesh = make_mesh(dict(zip(("data", "fsdp", "tensor"), shape, strict=True)), devices)
    loss = make_loss(kind, form, mesh, tile=TILE)

    def objective(sensor, text, scale, bias, cosine, valid, matches):
        contrast = loss(sensor, text, scale, bias, matches, Negatives(cosine, valid) if negatives else None)
        return contrast.loss, contrast

    batch, everywhere = named_sharding(mesh, ("batch",)), named_sharding(mesh)
    layout = Inputs(batch, batch, everywhere, everywhere, batch, batch, Matches(batch, batch))
    return jax.jit(jax.value_and_grad(objective, argnums=range(5), has_aux=True), in_shardings=tuple(layout))


def plain(kind: Any, inputs: Inputs, negatives: bool = True) -> tuple[tuple[jax.Array, Contrast], tuple[Any, ...]]:
    return gradient(kind, "plain", (1, 1, 1), negatives)(*inputs)


def assert_same(found: Any, expected: Any, terms: float = 0.0) -> None:
    """To 1e-6 of the largest number of each gradient.

    A gradient that is a small difference of large terms carries their rounding: it is compared relative to `terms`. The
    derivative by the scale is such a difference, of terms as large as loss / scale.
    """
    ((loss, contrast), gradients), ((expected_loss, expected_contrast), expected_gradients) = found, expected
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    np.testing.assert_array_equal(contrast[1:], expected_contrast[1:])
    names = ["sensor", "text", "scale", "bias", "negatives"]
    for name, one, other in zip(names, gradients, expected_gradients, strict=True):
        tolerance = 1e-6 * max(float(np.abs(other).max()), terms)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance, err_msg=f"gradient by {name}")


CASES = st.builds(
    draw,
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1.0, 20.0),
    bias=st.floats(-12.0, 4.0),
    common=st.sampled_from([0.0, 0.5, 2.0]),
    captions=st.sampled_from([2, 10, BATCH, 100 * BATCH]),
    valid=st.sampled_from([0.0, 0.6, 1.0]),
)


def name(parameter: Any) -> str:
    return "x".join(map(str, parameter)) if isinstance(parameter, tuple) else str(parameter)


@pytest.mark.parametrize(
    ("form", "shape"), [("tiles", shape) for shape in MESHES] + [("ring", shape) for shape in MESHES[1:3]], ids=name
)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_the_whole_matrix(kind, form, shape) -> None:
    compare = gradient(kind, form, shape)

    @settings(max_examples=12, deadline=None)
    @given(inputs=CASES)
    def agree(inputs: Inputs) -> None:
        expected = plain(kind, inputs)
        assert_same(compare(*inputs), expected, terms=float(expected[0][0] / inputs.scale))

    agree()


EXTREMES = {
    "large scale": draw(0, scale=100.0, bias=-10.0),
    "all near one another": draw(1, scale=100.0, bias=-90.0, common=100.0),
    "all on one point": draw(2, scale=100.0, bias=-100.0, common=1e6),
    "everything fits": draw(3, scale=100.0, bias=0.0, captions=1),
    "everything fits and is near": draw(4, scale=100.0, bias=-100.0, common=100.0, captions=1),
    "small scale": draw(5, scale=1e-3, bias=0.0),
    "large bias": draw(6, scale=10.0, bias=-100.0),
    "no negative counts": draw(7, scale=100.0, bias=-50.0, valid=0.0),
}


@pytest.mark.parametrize("case", EXTREMES)
@pytest.mark.parametrize(("form", "shape"), [("tiles", (2, 2, 2)), ("ring", (8, 1, 1))], ids=name)
@pytest.mark.parametrize("kind", KINDS)
def test_extremes_agree_and_stay_finite(kind, form, shape, case: str) -> None:
    inputs = EXTREMES[case]
    found, expected = gradient(kind, form, shape)(*inputs), plain(kind, inputs)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    # What pulls a window towards its texts and what pushes it away from all is at most scale / B each.
    assert_same(found, expected, terms=float(max(expected[0][0] / inputs.scale, 2 * inputs.scale / BATCH)))


@pytest.mark.parametrize("kind", KINDS)
def test_each_text_may_fit_one_window_and_there_may_be_no_negatives(kind) -> None:
    numbers = np.arange(BATCH, dtype=np.int32)
    inputs = draw(8, scale=10.0, bias=-5.0)._replace(matches=Matches(numbers[:, None], numbers))
    expected = plain(kind, inputs, negatives=False)
    assert_same(gradient(kind, "tiles", (2, 2, 2), negatives=False)(*inputs), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_may_have_a_single_window(kind) -> None:
    inputs = jax.tree.map(lambda x: x[:8] if x.ndim else x, draw(9, scale=10.0, bias=-5.0))
    assert_same(gradient(kind, "tiles", (8, 1, 1))(*inputs), plain(kind, inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_form_is_the_same_on_every_mesh(kind) -> None:
    inputs = draw(10, scale=10.0, bias=-5.0)
    assert_same(gradient(kind, "plain", (2, 2, 2))(*inputs), plain(kind, inputs))


def test_gradients_flow_on_into_towers_that_are_split_over_the_mesh() -> None:
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    inputs = draw(13, scale=10.0, bias=0.0)
    kernel = np.random.default_rng(14).standard_normal((WIDTH, 6)).astype(np.float32)
    batch = named_sharding(mesh, ("batch",))
    layout = {"sensor": named_sharding(mesh, ("embed", "mlp")), "text": named_sharding(mesh, (None, "mlp"))}

    def step(form):
        loss = make_loss("infonce", form, mesh, tile=TILE)

        def objective(params, sensor, text, matches):
            towers = (sensor @ params["sensor"], text @ params["text"])
            unit = [x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in towers]
            scale = jnp.exp(params["log_scale"])
            return loss(*unit, scale, jnp.zeros(()), matches).loss

        def update(params, *data):
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(objective)(params, *data))

        params = {"sensor": kernel, "text": kernel, "log_scale": np.float32(1.0)}
        layouts = layout | {"log_scale": named_sharding(mesh)}
        train = jax.jit(update, in_shardings=(layouts, batch, batch, Matches(batch, batch)), out_shardings=layouts)
        for _ in range(3):
            params = train(params, inputs.sensor_BxD, inputs.text_BxD, inputs.matches)
        return params

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-6), step("tiles"), step("plain"))
