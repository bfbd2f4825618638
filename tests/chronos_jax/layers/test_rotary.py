import jax.numpy as jnp
import numpy as np

from chronos_jax.layers.rotary import rotary_angles, rotate


def test_rotation_is_that_of_complex_numbers_made_of_both_halves():
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 8)).astype(np.float32)
    rotated = np.asarray(rotate(jnp.asarray(x), rotary_angles(5, 8, 100.0)))
    angles = np.arange(5)[:, None] * 100.0 ** (-np.arange(4) / 4)
    expected = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angles)[None, :, None, :]
    np.testing.assert_allclose(rotated[..., :4] + 1j * rotated[..., 4:], expected, rtol=1e-5, atol=1e-5)


def test_products_depend_on_the_distance_alone():
    rng = np.random.default_rng(1)
    q, k = (jnp.asarray(np.tile(rng.standard_normal((1, 1, 8)), (40, 1, 1)), jnp.float32) for _ in range(2))
    rotary = rotary_angles(40, 8, 10000.0)
    products = jnp.einsum("qhd,khd->qk", rotate(q, rotary), rotate(k, rotary))
    for distance in (0, 1, 7, 30):
        diagonal = jnp.diagonal(products, offset=distance)
        np.testing.assert_allclose(diagonal, jnp.full_like(diagonal, diagonal[0]), rtol=1e-4, atol=1e-4)


def test_bfloat16_keeps_its_type_and_rotates_in_float32():
    x = jnp.asarray(np.random.default_rng(2).standard_normal((4000, 1, 4)), jnp.bfloat16)
    rotary = rotary_angles(4000, 4, 10000.0)
    exact = rotate(x.astype(jnp.float32), rotary)
    assert rotate(x, rotary).dtype == jnp.bfloat16
    np.testing.assert_array_equal(rotate(x, rotary), exact.astype(jnp.bfloat16))
