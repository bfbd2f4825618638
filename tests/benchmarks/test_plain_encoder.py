"""The plain port computes what the model does, so that tables compare equal work."""

import jax
import numpy as np
import pytest
from reference import walks

from benchmarks.plain_encoder import embed, forecast, unstacked
from chronos_jax import Chronos2Pipeline


@pytest.fixture(scope="module")
def pipeline() -> Chronos2Pipeline:
    return Chronos2Pipeline.from_pretrained("random:tiny")


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """Of the length of training's, with gaps, one of them a whole patch."""
    windows = walks(4, 3, 50)
    windows[1, 0, 4:9] = np.nan
    windows[2, 1, :25] = np.nan
    return windows


def test_embeddings_are_those_of_the_pipeline(pipeline: Chronos2Pipeline, windows: np.ndarray) -> None:
    params = unstacked(pipeline.params, pipeline.config.num_layers)
    plain = jax.jit(embed, static_argnums=1)(params, pipeline.config, windows, np.ones((4, 3), bool))
    np.testing.assert_allclose(plain, pipeline.embed(windows, pooling="mean"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variates", [1, 3])
def test_forecasts_are_those_of_the_pipeline(pipeline: Chronos2Pipeline, windows: np.ndarray, variates: int) -> None:
    params, context = unstacked(pipeline.params, pipeline.config.num_layers), windows[:, :variates]
    mask = np.ones(context.shape[:2], bool)
    plain = jax.jit(forecast, static_argnums=1, static_argnames="num_output_patches")(
        params, pipeline.config, context, mask, num_output_patches=2
    )
    ours = np.stack(pipeline.predict(context, prediction_length=32))
    np.testing.assert_allclose(plain, ours, rtol=0, atol=1e-5 * np.abs(ours).max())


def test_variates_that_fill_up_a_group_change_nothing(pipeline: Chronos2Pipeline, windows: np.ndarray) -> None:
    params, mask = unstacked(pipeline.params, pipeline.config.num_layers), np.ones((4, 3), bool)
    mask[:, 2] = False
    run = jax.jit(embed, static_argnums=1)
    filled, alone = (
        run(params, pipeline.config, windows, mask),
        run(params, pipeline.config, windows[:, :2], mask[:, :2]),
    )
    np.testing.assert_allclose(filled, alone, rtol=0, atol=1e-5)
