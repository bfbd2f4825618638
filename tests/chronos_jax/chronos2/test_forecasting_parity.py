"""Forecasts of the pipeline and of the reference's, for every form of input, on weights that behave as trained ones."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars
import pytest
from comparison import BOUND, relative_error
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import reference_pipeline, walks, write_random_checkpoint

from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2.random_weights import SIZES

SIZES_HERE = [
    "tiny",
    pytest.param("chronos-2-small", marks=pytest.mark.table_only),
    pytest.param("chronos-2", marks=pytest.mark.full_size),
]

OF_PUBLISHED_SIZE = ("covariates, 2 targets → 17", "cross_learning, batches of 3 → 24", "context_length 50 → 720")
"""What the form of inputs decides is the same for every size; the table has the others."""

LONG_HORIZON_SHARE, LONG_HORIZON_BOUND = 1e-3, 1e-3
"""Beyond one pass, quantiles of weighted samples jump where two samples change places. Rounding decides that where they
are nearly equal, so that the reference differs from itself by 3e-5 when it is given another series beside. One value in
a thousand may be beyond BOUND, by as much as such jumps are high."""


class Call(NamedTuple):
    """Arguments of `predict`."""

    inputs: Any
    prediction_length: int
    arguments: Mapping[str, Any] = MappingProxyType({})


def gaps(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[..., : x.shape[-1] // 3] = np.nan
    x[..., ::7] = np.nan
    return x


def dictionaries(horizon: int, lengths: tuple[int, ...] = (60, 90, 33), targets: int = 1) -> list[dict[str, Any]]:
    """Covariates of both kinds, known ahead and not, with categories that the past has never seen, and gaps."""
    rng = np.random.default_rng(0)

    def weather(n: int, *kinds: str) -> np.ndarray:
        return rng.choice(["sun", "rain", *kinds], n)

    return [
        {
            "target": gaps(walks(targets, t, seed=i))
            if i
            else walks(targets, t)[0]
            if targets == 1
            else walks(targets, t),
            "past_covariates": {
                "price": gaps(walks(t, seed=10 + i)),
                "clicks": rng.integers(0, 9, t),
                "weather": weather(t),
                "holiday": rng.random(t) < 0.3,
            },
            "future_covariates": {"price": gaps(walks(horizon, seed=20 + i)), "weather": weather(horizon, "fog")},
        }
        for i, t in enumerate(lengths)
    ]


RAGGED = [walks(30), walks(3, 100), gaps(walks(170)), walks(2, 17), walks(1)]

CALLS: dict[str, Callable[[], Call]] = {
    "3-d array → 24": lambda: Call(walks(3, 2, 90), 24),
    "ragged list with NaN → 1": lambda: Call(RAGGED, 1),
    "ragged list with NaN → 100": lambda: Call(RAGGED, 100),
    "ragged list with NaN → 1,024": lambda: Call(RAGGED[:3], 1024),
    "covariates → 24": lambda: Call(dictionaries(24), 24),
    "covariates, 2 targets → 17": lambda: Call(dictionaries(17, targets=2), 17),
    "cross_learning → 24": lambda: Call(RAGGED, 24, {"cross_learning": True}),
    "cross_learning, batches of 3 → 24": lambda: Call(RAGGED, 24, {"cross_learning": True, "batch_size": 3}),
    "cross_learning with covariates → 24": lambda: Call(dictionaries(24), 24, {"cross_learning": True}),
    "context_length 50 → 720": lambda: Call(RAGGED, 720, {"context_length": 50}),
}
LONG_CALLS: dict[str, Callable[[], Call]] = {
    "ragged list → 2,500": lambda: Call(RAGGED[:3], 2500),
    "covariates → 1,100": lambda: Call(dictionaries(1100), 1100),
    "cross_learning → 1,025": lambda: Call(RAGGED, 1025, {"cross_learning": True}),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Size → the reference and the port, with the same random weights."""
    room = tmp_path_factory.mktemp("checkpoints")

    def make(size: str) -> tuple[Any, Chronos2Pipeline]:
        folder = write_random_checkpoint(room / size, SIZES[size])
        return reference_pipeline(folder), Chronos2Pipeline.from_pretrained(folder)

    return make


def forecasts(pipeline: Any, call: Call) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both say that a horizon is long
        found = pipeline.predict(call.inputs, call.prediction_length, **call.arguments)
    return [np.asarray(x) for x in found]


@pytest.mark.parametrize("size", SIZES_HERE)
def test_forecasts_within_one_pass_agree(size, pair, parity_table, request):
    reference, port = pair(size)
    failures = {}
    every = size == "tiny" or request.config.getoption("--write-parity")
    for name in CALLS if every else OF_PUBLISHED_SIZE:
        call = CALLS[name]()
        found = [relative_error(*both) for both in zip(forecasts(port, call), forecasts(reference, call), strict=True)]
        parity_table[name][size] = max(found)
        if not max(found) <= BOUND:
            failures[name] = found
    assert failures == {}


@pytest.mark.parametrize(
    "size", ["tiny", *(pytest.param(size, marks=pytest.mark.table_only) for size in ("chronos-2-small", "chronos-2"))]
)
def test_forecasts_beyond_one_pass_agree(size, pair, parity_table):
    reference, port = pair(size)
    for name, make in LONG_CALLS.items():
        call = make()
        ours, theirs = forecasts(port, call), forecasts(reference, call)
        errors = [np.abs(a - b).ravel() / np.abs(b).max() for a, b in zip(ours, theirs, strict=True)]
        assert max(relative_error(a[..., :1024], b[..., :1024]) for a, b in zip(ours, theirs, strict=True)) <= BOUND
        errors = np.concatenate(errors)
        parity_table[name][size] = float(errors.max())
        assert (errors > BOUND).mean() <= LONG_HORIZON_SHARE, name
        assert errors.max() <= LONG_HORIZON_BOUND, name


def test_histories_that_outgrow_the_context_agree(tmp_path):
    """Six patches of context: the second stretch and the third see the forecast before them, and little of the past."""
    folder = write_random_checkpoint(tmp_path / "short", SIZES["tiny"].model_copy(update={"context_length": 96}))
    call = Call([walks(90), walks(2, 200)], 120, {"max_output_patches": 3})
    ours, theirs = (forecasts(make(folder), call) for make in (Chronos2Pipeline.from_pretrained, reference_pipeline))
    for a, b in zip(ours, theirs, strict=True):
        assert relative_error(a, b) <= BOUND


def test_a_category_that_never_changes_says_nothing(tiny):
    """Its encoding is constant, as the mean of the target is. The reference agrees where that mean is exact."""
    reference, port = tiny

    def both(target: np.ndarray, covariate: np.ndarray) -> list[np.ndarray]:
        call = Call([{"target": target, "past_covariates": {"a": covariate}}], 20)
        return [forecasts(side, call)[0] for side in (port, reference)]

    x = walks(40)
    shop, _ = both(x, np.full(40, "shop"))
    zero, _ = both(x, np.zeros(40))
    assert relative_error(shop, zero) <= BOUND
    assert relative_error(*both(np.resize([1.0, 3.0], 32), np.full(32, "shop"))) <= BOUND


@pytest.mark.parametrize("cross_learning", [False, True])
def test_the_reference_test_checkpoint_agrees(cross_learning, reference_checkpoint):
    reference = reference_pipeline(reference_checkpoint)
    port = Chronos2Pipeline.from_pretrained(reference_checkpoint)
    call = Call(RAGGED, 40, {"cross_learning": cross_learning})
    for ours, theirs in zip(forecasts(port, call), forecasts(reference, call), strict=True):
        assert relative_error(ours, theirs) <= BOUND


def arrays(lengths: st.SearchStrategy[int]) -> st.SearchStrategy[np.ndarray]:
    def make(shape: tuple[int, ...], seed: int, missing: bool, level: float) -> np.ndarray:
        x = walks(*shape, seed=seed) + np.float32(level)
        return gaps(x) if missing and shape[-1] > 20 else x

    shapes = st.one_of(st.tuples(lengths), st.tuples(st.integers(1, 3), lengths))
    return st.builds(make, shapes, st.integers(0, 99), st.booleans(), st.sampled_from([0.0, 50.0]))


@st.composite
def calls(draw: Any) -> Call:
    """Any form of input; lengths and horizons of few buckets, because each is a compilation."""
    horizon = draw(st.integers(1, 32))
    lengths = st.integers(33, 64)
    arguments = {"cross_learning": draw(st.booleans()), "batch_size": draw(st.sampled_from([2, 256]))}
    form = draw(st.sampled_from(["array", "list", "dictionaries"]))
    if form == "array":
        return Call(walks(2, draw(st.integers(1, 2)), draw(lengths), seed=draw(st.integers(0, 99))), horizon, arguments)
    if form == "list":
        return Call(draw(st.lists(arrays(lengths), min_size=1, max_size=4)), horizon, arguments)
    series = tuple(draw(st.lists(lengths, min_size=1, max_size=3)))
    inputs = dictionaries(horizon, series, draw(st.integers(1, 2)))
    for name in draw(st.sets(st.sampled_from(["price", "weather"]))):
        for x in inputs:
            del x["future_covariates"][name]
    for name in draw(st.sets(st.sampled_from(["clicks", "holiday"]))):
        for x in inputs:
            del x["past_covariates"][name]
    return Call(inputs, horizon, arguments)


@pytest.fixture(scope="module")
def tiny(pair):
    return pair("tiny")


@given(calls())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_form_of_input_agrees(tiny, call):
    reference, port = tiny
    ours, theirs = forecasts(port, call), forecasts(reference, call)
    assert [x.shape for x in ours] == [x.shape for x in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert relative_error(a, b) <= BOUND


@pytest.mark.parametrize("levels", [[0.1, 0.5, 0.9], [0.33, 0.77], [0.9, 0.02]])
def test_quantiles_agree(tiny, levels):
    reference, port = tiny
    for ours, theirs in zip(
        port.predict_quantiles(RAGGED, 20, levels), reference.predict_quantiles(RAGGED, 20, levels), strict=True
    ):
        for a, b in zip(ours, theirs, strict=True):
            assert relative_error(a, b.numpy()) <= BOUND


def table(ids: list[Any], freq: str, lengths: list[int]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for i, (name, length) in enumerate(zip(ids, lengths, strict=True)):
        times = pd.date_range("2024-01-31", periods=length, freq=freq)
        columns = {"item_id": name, "timestamp": times, "target": walks(length, seed=i), "load": walks(length, seed=9)}
        parts.append(pd.DataFrame(columns | {"weather": rng.choice(["sun", "rain", "snow"], length)}))
    return pd.concat(parts).sample(frac=1, random_state=0)


def reference_frame(reference: Any, *args: Any, **kwargs: Any) -> pd.DataFrame:
    """What the reference answers; its use of pandas warns of pandas' own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reference.predict_df(*args, **kwargs)


def assert_same_frame(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Column by column and row by row, types included; numbers to BOUND of the largest."""
    scale = np.abs(theirs.select_dtypes("float32")).to_numpy().max()
    pd.testing.assert_frame_equal(ours, theirs, rtol=0, atol=BOUND * scale)


@pytest.mark.parametrize("known", [[], ["weather"], ["load", "weather"]])
@pytest.mark.parametrize(
    ("ids", "freq", "target"), [(["b", "c", "a"], "h", "target"), ([3, 1, 2], "ME", ["target", "load"])]
)
def test_tables_agree(tiny, ids, freq, target, known):
    """Shuffled rows, text and integer ids, one target and two, covariates known ahead or not."""
    reference, port = tiny
    df = table(ids, freq, [40, 61, 33])
    known = [name for name in known if name not in target]
    first = df.sort_values("timestamp").drop_duplicates("item_id", keep="last")
    ahead = pd.concat(
        pd.DataFrame({"item_id": row.item_id, "timestamp": pd.date_range(row.timestamp, periods=19, freq=freq)[1:]})
        for row in first.itertuples()
    )
    ahead = ahead.assign(load=walks(len(ahead)), weather=np.resize(["rain", "fog"], len(ahead)))
    future_df = ahead[["item_id", "timestamp", *known]] if known else None
    arguments = {"target": target, "prediction_length": 18, "quantile_levels": [0.1, 0.5, 0.625]}
    before = df.copy()
    assert_same_frame(
        port.predict_df(df, future_df, **arguments), reference_frame(reference, df, future_df, **arguments)
    )
    pd.testing.assert_frame_equal(df, before)


def test_series_of_a_table_are_joined_by_a_dictionary(tiny):
    _, port = tiny
    df = table(["b", "a", "c"], "h", [40, 61, 33]).drop(columns=["load", "weather"])
    ids = dict.fromkeys(["a", "b"], 0) | {"c": 1}
    order = df["item_id"].unique().tolist()
    named = port.predict_df(df, prediction_length=18, group_ids=ids)
    pd.testing.assert_frame_equal(
        named, port.predict_df(df, prediction_length=18, group_ids=[ids[name] for name in order])
    )
    assert np.abs(named["predictions"] - port.predict_df(df, prediction_length=18)["predictions"]).max() > 1e-3
    with pytest.raises(ValueError, match=r"group_ids has no entry for 1 series, such as \['c'\]"):
        port.predict_df(df, prediction_length=18, group_ids={"a": 0, "b": 0})


def test_what_a_table_lacks_is_said_by_name(tiny):
    _, port = tiny
    df = table(["b", "a"], "h", [40, 61])
    with pytest.raises(ValueError, match=r"column '0.5' would be overwritten"):
        port.predict_df(df.rename(columns={"item_id": "0.5"}), id_column="0.5", prediction_length=18)
    with pytest.raises(ValueError, match=r"series 'b', variate 0 holds values .* beyond"):
        port.predict_df(df.assign(target=df["target"].where(df["item_id"] == "a", 1e20)), prediction_length=18)
    unseen = df.assign(target=df["target"].where(df["item_id"] == "a"))
    with pytest.warns(UserWarning, match="nothing is observed in the target of series 'b'"):
        assert port.predict_df(unseen, prediction_length=18).notna().all(axis=None)
    null = polars.from_pandas(df.drop(columns=["load", "weather"])).with_columns(target=polars.lit(None))
    with pytest.warns(UserWarning, match="series 'b', series 'a'|series 'a', series 'b'"):
        port.predict_df(null, prediction_length=18)


def test_warnings_point_at_the_callers_line(tiny):
    _, port = tiny
    with pytest.warns(UserWarning, match="nothing is observed") as warned:
        inspect.unwrap(Chronos2Pipeline.predict_quantiles)(port, [np.full(20, np.nan)], 5)
    assert [x.filename for x in warned] == [__file__]


def test_polars_in_and_out(tiny):
    _, port = tiny
    df = table(["b", "a"], "h", [40, 61])
    expected = port.predict_df(df, prediction_length=18)
    ours = port.predict_df(polars.from_pandas(df), prediction_length=18)
    assert isinstance(ours, polars.DataFrame)
    pd.testing.assert_frame_equal(ours.to_pandas(), expected, check_dtype=False)


@pytest.mark.parametrize("size", SIZES_HERE)
@pytest.mark.parametrize("horizon", [24, 720])
def test_rolling_forecasts_of_real_series_agree_row_for_row(size, horizon, pair, etth1, parity_table):
    """All seven variates of ETTh1 together, from several origins, each with the 512 hours before it."""
    reference, port = pair(size)
    df = pd.read_csv(etth1, parse_dates=["date"])
    variates = list(df.columns[1:])
    origins = range(len(df) - 4 * 720, len(df), 720)
    windows = pd.concat(df.iloc[origin - 512 : origin].assign(origin=origin) for origin in origins)
    arguments = {"id_column": "origin", "timestamp_column": "date", "target": variates, "prediction_length": horizon}
    ours, theirs = port.predict_df(windows, **arguments), reference_frame(reference, windows, **arguments)
    assert len(ours) == len(origins) * 7 * horizon
    assert_same_frame(ours, theirs)
    numbers = [x.select_dtypes("float32").to_numpy() for x in (ours, theirs)]
    parity_table[f"ETTh1, 7 variates, rolling → {horizon}"][size] = relative_error(*numbers)
