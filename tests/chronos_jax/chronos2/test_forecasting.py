"""What forecasts promise, without the reference; test_forecasting_parity.py has the comparison with it."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import walks

from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2 import forecasting
from chronos_jax.chronos2.forecasting import Horizon
from chronos_jax.quantiles import probability_masses, weighted_quantiles
from chronos_jax.sharding import make_mesh


def assert_equal_to_rounding(ours, expected, share=2e-6):
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=share * np.abs(b).max())


def test_a_forecast_has_a_row_for_each_target_and_level(pipeline, ragged):
    forecasts = pipeline.predict(ragged, 5)
    assert [x.shape for x in forecasts] == [(len(x), 21, 5) for x in ragged]
    assert {x.dtype for x in forecasts} == {np.dtype(np.float32)}
    forecasts[0][:] = 0  # belongs to the caller


def test_the_default_horizon_is_the_models(pipeline):
    assert pipeline.predict([walks(20)])[0].shape == (1, 21, 1024)


def test_a_forecast_does_not_depend_on_the_other_inputs_their_order_or_the_batch_size(pipeline, ragged):
    forecasts = pipeline.predict(ragged, 5)
    order = np.random.default_rng(1).permutation(len(ragged))
    shuffled = pipeline.predict([ragged[i] for i in order], 5, batch_size=7)
    assert_equal_to_rounding([shuffled[list(order).index(i)] for i in range(len(ragged))], forecasts)
    assert_equal_to_rounding([pipeline.predict([x], 5)[0] for x in ragged], forecasts)


def test_long_forecasts_do_not_depend_on_the_other_inputs_either(pipeline, ragged):
    forecasts = pipeline.predict(ragged[:4], 40, max_output_patches=1)
    assert_equal_to_rounding([pipeline.predict([x], 40, max_output_patches=1)[0] for x in ragged[:4]], forecasts, 1e-5)


def test_a_bucketed_horizon_is_the_exact_one(pipeline):
    """Five patches are computed as six, the last of them masked."""
    x = walks(2, 3, 50)
    model, config = pipeline.model, pipeline.config
    exact = jax.jit(lambda x: model(x, num_output_patches=5))(x)
    assert_equal_to_rounding(pipeline.predict(x, 5 * config.patch_size), np.asarray(exact))


def test_calls_with_any_number_of_inputs_soon_compile_nothing(pipeline):
    """Whatever number of lengths of one bucket: a full batch, or what is left over in few sizes."""
    rng = np.random.default_rng(0)

    def compiled_after(number):
        pipeline.predict([walks(int(steps)) for steps in rng.integers(49, 65, number)], 24)
        return forecasting._first._cache_size()

    for number in (2, 5, 16, 60):
        before = compiled_after(number)
    assert [compiled_after(number) for number in (1, 3, 7, 12, 20, 31, 40)] == [before] * 7


def test_a_second_call_of_the_same_buckets_compiles_nothing(pipeline):
    """Other lengths, other numbers of steps, known values ahead or not, beyond one pass or not."""

    def compiled():
        return forecasting._first._cache_size(), forecasting._next._cache_size()

    def known_ahead(steps, horizon):
        x = walks(steps)
        return {"target": x, "past_covariates": {"a": x}, "future_covariates": {"a": walks(horizon)}}

    pipeline.predict([walks(3, t) for t in (18, 50, 64)] * 3, 70)
    pipeline.predict([walks(t) for t in (18, 50)], 100, max_output_patches=4)
    pipeline.predict([known_ahead(t, 70) for t in (18, 50)], 70)
    before = compiled()
    pipeline.predict([walks(3, t, seed=5) for t in (32, 49, 58)] * 3, 90)
    pipeline.predict([walks(t) for t in (32, 64)], 112, max_output_patches=4)
    pipeline.predict([known_ahead(t, 96) for t in (20, 63)], 96)
    assert compiled() == before
    pipeline.predict([walks(3, 65)], 70)
    assert compiled() == (before[0] + 1, before[1])


def test_beyond_one_pass_it_goes_on_in_stretches():
    assert Horizon(5, 64, (0,)).stretches == [5]
    assert Horizon(64, 64, (0,)).stretches == [64]
    assert Horizon(130, 64, (0,)).stretches == [64, 64, 2]


def test_a_stretch_is_forecast_from_the_quantiles_of_the_last(pipeline):
    """With one path, the second stretch is the forecast of a history to which the median of the first was appended."""
    x = walks(1, 40)
    both = pipeline.predict([x], 32, max_output_patches=1, unrolled_quantiles=[0.5])[0]
    longer = np.concatenate([x, both[:, pipeline.quantiles.index(0.5), :16]], axis=1)
    second = pipeline.predict([longer], 16)[0]
    masses = jnp.array(probability_masses(pipeline.quantiles))
    expected = weighted_quantiles(jnp.array(second.swapaxes(1, 2)), masses, jnp.array(pipeline.quantiles))
    np.testing.assert_array_equal(both[..., :16], pipeline.predict([x], 16)[0])
    assert_equal_to_rounding([both[..., 16:]], [np.asarray(expected).swapaxes(1, 2)])


def test_known_values_take_the_place_of_forecasts_in_what_goes_on(pipeline):
    """A covariate known ahead for both stretches: the second is forecast from its values, not from its forecast."""
    x, known = walks(40), walks(32, seed=3)
    inputs = {"target": x, "past_covariates": {"a": walks(40, seed=2)}, "future_covariates": {"a": known}}
    both = pipeline.predict([inputs], 32, max_output_patches=1, unrolled_quantiles=[0.5])[0]
    longer = {
        "target": np.concatenate([x, both[0, pipeline.quantiles.index(0.5), :16]]),
        "past_covariates": {"a": np.concatenate([inputs["past_covariates"]["a"], known[:16]])},
        "future_covariates": {"a": known[16:]},
    }
    second = pipeline.predict([longer], 16)[0]
    masses = jnp.array(probability_masses(pipeline.quantiles))
    expected = weighted_quantiles(jnp.array(second.swapaxes(1, 2)), masses, jnp.array(pipeline.quantiles))
    assert_equal_to_rounding([both[..., 16:]], [np.asarray(expected).swapaxes(1, 2)], 1e-5)


def test_the_order_of_unrolled_quantiles_means_nothing(pipeline):
    ordered, other = (
        pipeline.predict([walks(40)], 32, max_output_patches=1, unrolled_quantiles=levels)[0]
        for levels in ([0.1, 0.5, 0.9], np.array([0.9, 0.1, 0.5]))
    )
    np.testing.assert_array_equal(ordered, other)


def test_joined_inputs_are_forecast_as_one(pipeline):
    """By id, or all of a batch: as the variates of a single input are."""
    x = walks(4, 50)
    together = pipeline.predict(x[None], 20)[0]
    one_by_one = [row[None] for row in x]
    assert_equal_to_rounding([np.concatenate(pipeline.predict(one_by_one, 20, cross_learning=True))], [together])
    by_id = pipeline.predict(one_by_one, 20, group_ids=["a", "b", "a", "b"])
    expected = [pipeline.predict(x[None, rows], 20)[0] for rows in ([0, 2], [1, 3])]
    assert_equal_to_rounding(by_id, [expected[i % 2][i // 2 : i // 2 + 1] for i in range(4)])
    assert np.abs(by_id[0] - together[:1]).max() > 1e-3 * np.abs(together).max()


def test_joined_inputs_keep_their_own_lengths_and_covariates(pipeline):
    inputs = [
        {"target": walks(t), "past_covariates": {"a": walks(t, seed=2)}, "future_covariates": {"a": walks(20, seed=t)}}
        for t in (50, 21)
    ]
    joined = pipeline.predict(inputs, 20, group_ids=[1, 1])
    assert [x.shape for x in joined] == [(1, 21, 20)] * 2
    alone = pipeline.predict(inputs, 20)
    assert all(np.abs(a - b).max() > 1e-3 * np.abs(b).max() for a, b in zip(joined, alone, strict=True))
    assert_equal_to_rounding(pipeline.predict(inputs[::-1], 20, group_ids=[1, 1])[::-1], joined)


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_a_mesh_gives_the_same_numbers(pipeline, shape):
    spread = Chronos2Pipeline.from_pretrained("random:tiny", mesh=make_mesh(shape))
    x = walks(11, 3, 50)  # no multiple of the eight devices
    assert_equal_to_rounding(spread.predict(x, 20), pipeline.predict(x, 20), 1e-5)
    assert_equal_to_rounding(
        spread.predict(x, 40, max_output_patches=1), pipeline.predict(x, 40, max_output_patches=1), 1e-5
    )
    assert_equal_to_rounding(
        spread.predict(x, 20, cross_learning=True), pipeline.predict(x, 20, cross_learning=True), 1e-5
    )


def test_bfloat16_keeps_the_level_of_a_series(pipeline):
    """Scaling and unscaling are float32: what is lost is a share of the spread of the series, not of its level."""
    rounded = Chronos2Pipeline.from_pretrained("random:tiny", dtype="bfloat16")
    x = walks(6, 1, 200) * 100

    def lost(level):
        exact, ours = (np.stack(p.predict(x + np.float32(level), 24)) for p in (pipeline, rounded))
        return np.abs(ours - exact).max(), np.abs(exact).max()

    at_zero, _ = lost(0)
    for level in (1e6, -1e6):
        error, scale = lost(level)
        assert 0 < error <= 0.005 * scale
        assert error <= 1.1 * at_zero


def test_histories_with_nothing_observed_are_warned_of_and_finite(pipeline):
    with pytest.warns(UserWarning, match=r"target of input 1, input 2 \(variate 0\): what comes out means nothing"):
        forecasts = pipeline.predict([walks(20), np.full(20, np.nan), np.stack([np.full(20, np.nan), walks(20)])], 20)
    assert all(np.isfinite(x).all() for x in forecasts)
    with pytest.warns(UserWarning, match="input 0"):
        (forecast,) = pipeline.predict([np.full(20, np.nan)], 40, max_output_patches=1)
    assert np.isfinite(forecast).all()


def test_what_lies_before_the_context_is_not_observed(pipeline):
    x = np.concatenate([walks(20), np.full(30, np.nan)])
    with pytest.warns(UserWarning, match="nothing is observed in the target of input 0"):
        (forecast,) = pipeline.predict([x], 5, context_length=30)
    assert np.isfinite(forecast).all()


def test_quantiles_at_any_level(pipeline, ragged):
    quantiles, median = pipeline.predict_quantiles(ragged, 5, [0.5, 0.1, 0.125])
    forecasts = pipeline.predict(ragged, 5)
    at = {level: [x[:, pipeline.quantiles.index(level)] for x in forecasts] for level in (0.5, 0.1, 0.15)}
    for i, x in enumerate(ragged):
        assert quantiles[i].shape == (len(x), 5, 3)
        np.testing.assert_array_equal(median[i], at[0.5][i])
        np.testing.assert_array_equal(quantiles[i][..., 0], at[0.5][i])
        np.testing.assert_array_equal(quantiles[i][..., 1], at[0.1][i])
        np.testing.assert_allclose(quantiles[i][..., 2], (at[0.1][i] + at[0.15][i]) / 2, rtol=1e-4, atol=1e-4)
    default, _ = pipeline.predict_quantiles(ragged[:1], 5)
    assert default[0].shape == (1, 5, 9)


def test_levels_beyond_the_models_are_warned_of(pipeline):
    with pytest.warns(UserWarning, match=r"levels \[0.001\] are beyond those of the model, 0.01 … 0.99"):
        quantiles, _ = pipeline.predict_quantiles([walks(20)], 5, [0.001, 0.01])
    np.testing.assert_array_equal(quantiles[0][..., 0], quantiles[0][..., 1])


def test_a_callback_is_called_after_each_batch_while_the_next_is_computed(pipeline, monkeypatch):
    """And no more batches than two are on the device at a time."""
    started, seen = [], []
    forecast = forecasting.forecast
    monkeypatch.setattr(forecasting, "forecast", lambda *args: started.append(1) or forecast(*args))
    pipeline.predict(walks(8, 1, 50), 5, batch_size=1, after_batch=lambda: seen.append(len(started)))
    assert seen == [2, 3, 4, 5, 6, 7, 8, 8]


def test_a_progress_bar_is_shown_on_a_terminal_or_on_demand(pipeline, capsys, monkeypatch):
    pipeline.predict(walks(8, 1, 50), 5, batch_size=2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes of anything a terminal
    pipeline.predict(walks(8, 1, 50), 5, batch_size=2, progress=False)
    assert capsys.readouterr() == ("", "")
    pipeline.predict(walks(8, 1, 50), 5, batch_size=2)
    assert "8/8" in capsys.readouterr().err
    pipeline.predict(walks(8, 1, 50), 5, batch_size=2, progress=True)
    assert "8/8" in capsys.readouterr().err


def test_a_context_length_uses_the_last_steps(pipeline):
    x = walks(2, 100)
    np.testing.assert_array_equal(pipeline.predict([x], 5, context_length=37)[0], pipeline.predict([x[:, -37:]], 5)[0])
    with pytest.warns(UserWarning, match="context_length 9000 is beyond the model's 8192"):
        pipeline.predict([x], 5, context_length=9000)


def test_horizons_beyond_the_models_are_warned_of_or_refused(pipeline):
    with pytest.warns(UserWarning, match="prediction_length 1030 is beyond the 1024 steps"):
        assert pipeline.predict([walks(20)], 1030)[0].shape == (1, 21, 1030)
    with pytest.raises(ValueError, match="give limit_prediction_length=False"):
        pipeline.predict([walks(20)], 1030, limit_prediction_length=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prediction_length": 0}, "prediction_length must be a whole number, at least 1, found 0"),
        ({"prediction_length": -3}, "prediction_length must be a whole number, at least 1, found -3"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1"),
        ({"context_length": 0}, "context_length must be a whole number, at least 1"),
        ({"max_output_patches": 0}, "max_output_patches must be a whole number, at least 1"),
        ({"unrolled_quantiles": [0.5, 0.123]}, r"subset of the model's quantiles.*found \[0.5, 0.123\]"),
        ({"unrolled_quantiles": []}, "subset of the model's quantiles"),
        ({"cross_learning": True, "group_ids": [1]}, "not both"),
        ({"group_ids": [1, 2]}, "one id for each of the 1 inputs, found 2"),
    ],
)
def test_arguments_are_checked_before_anything_runs(pipeline, arguments, message, monkeypatch):
    monkeypatch.setattr(forecasting, "forecast", None)
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(Chronos2Pipeline.predict)(pipeline, [walks(20)], **arguments)


def test_levels_are_checked_before_anything_runs(pipeline, monkeypatch):
    monkeypatch.setattr(forecasting, "forecast", None)
    with pytest.raises(ValueError, match="between 0 and 1"):
        pipeline.predict_quantiles([walks(20)], 5, [0.5, 1.5])
