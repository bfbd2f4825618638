from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import assert_not_imported
from reference import reference_module

from chronos_jax.chronos2.covariates import encode_covariates


@pytest.fixture(scope="module")
def preprocess():
    """The reference's module."""
    return reference_module("chronos.chronos2.preprocess")


def encode(past, future=None, target=((1.0, 2.0, 4.0, 8.0),), lengths=(4,), prediction_length=2):
    target_VxR = np.array(target, np.float32)
    return encode_covariates(past, future or {}, target_VxR, np.array(lengths), prediction_length)


class Kind(NamedTuple):
    """Values of the past, further ones of the future, and the types that hold them in NumPy and pandas."""

    values: list[Any]
    more: list[Any]
    array_type: Any
    column_types: list[str]


KINDS = [
    Kind(["a", "b", "ä", ""], ["c", "A"], str, ["str", "object", "category"]),
    Kind(["a", "b", None, np.nan], ["c"], object, ["str", "object", "category"]),
    Kind([-1, 0, 3], [7], int, ["int64", "Int64", "float32"]),
    Kind([0.5, -2.0, np.nan, 1e30], [3.25], float, ["float64", "Float64"]),
    Kind([True, False], [], bool, ["bool", "boolean", "object"]),
    Kind([True, False, None], [], object, ["boolean", "object"]),
    Kind([1, "a", 2.5, None], ["b", 2], object, ["object"]),
]


@st.composite
def stacked(draw, as_column):
    """Targets and covariates of a few series: (past, future, target, lengths, prediction_length)."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    steps = draw(st.integers(1, 3))
    rows, ahead = sum(lengths), len(lengths) * steps
    values = st.floats(-100, 100, width=32) | st.just(float("nan"))
    variates = draw(st.integers(1, 3))
    target = np.array(draw(st.lists(values, min_size=variates * rows, max_size=variates * rows)), np.float32)
    past, future = {}, {}
    for i, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=4))):
        seen = draw(st.lists(st.sampled_from(kind.values), min_size=rows, max_size=rows))
        past[f"c{i}"] = as_column(draw, seen, kind)
        if draw(st.booleans()):
            known = draw(st.lists(st.sampled_from(kind.values + kind.more), min_size=ahead, max_size=ahead))
            future[f"c{i}"] = as_column(draw, known, kind)
    return past, future, target.reshape(variates, rows), np.array(lengths), steps


def as_series(draw, values, kind):
    return pd.Series(values, dtype=object).astype(draw(st.sampled_from(kind.column_types)))


def as_array(draw, values, kind):
    return np.array(values, dtype=kind.array_type)


def assert_as_the_reference(found, prepared):
    past_CxR, future_KxNH = found
    targets, known = prepared[0]["n_targets"], prepared[0]["n_future_covariates"]
    np.testing.assert_array_equal(past_CxR, np.concatenate([x["context"][targets:] for x in prepared], axis=1))
    rows = slice(targets + len(past_CxR) - known, None)
    np.testing.assert_array_equal(future_KxNH, np.concatenate([x["future_covariates"][rows] for x in prepared], axis=1))


@settings(deadline=None)  # pandas is slow at first
@given(stacked(as_series))
def test_columns_of_frames_are_encoded_as_by_the_reference(preprocess, case):
    past, future, target_VxR, lengths_N, steps = case
    targets = [f"t{v}" for v in range(len(target_VxR))]
    ids = np.arange(len(lengths_N))
    df = pd.DataFrame({"item_id": np.repeat(ids, lengths_N), "timestamp": np.arange(target_VxR.shape[1])} | past)
    df[targets] = target_VxR.T
    future_df = pd.DataFrame({"item_id": np.repeat(ids, steps), "timestamp": 0} | future) if future else None
    prepared = preprocess.from_data_frame(df, targets, steps, future_df, validate_inputs=False)
    assert_as_the_reference(encode_covariates(past, future, target_VxR, lengths_N, steps), prepared)


@settings(deadline=None)
@given(stacked(as_array))
def test_arrays_are_encoded_as_by_the_reference(preprocess, case):
    past, future, target_VxR, lengths_N, steps = case
    ends = np.cumsum(lengths_N)
    inputs = [
        {
            "target": target_VxR[:, end - length : end],
            "past_covariates": {c: x[end - length : end] for c, x in past.items()},
            "future_covariates": {c: x[n * steps : (n + 1) * steps] for c, x in future.items()},
        }
        for n, (end, length) in enumerate(zip(ends, lengths_N, strict=True))
    ]
    assert_as_the_reference(
        encode_covariates(past, future, target_VxR, lengths_N, steps), preprocess.from_list_of_dicts(inputs, steps)
    )


def test_categories_become_means_of_the_target_drawn_towards_that_of_the_series():
    past, future = encode({"c": np.array(list("aabb"))}, {"c": np.array(list("bz"))})
    mean = 15 / 4
    np.testing.assert_allclose(past, [[(3 + mean) / 3] * 2 + [(12 + mean) / 3] * 2], rtol=1e-6)
    np.testing.assert_allclose(future, [[(12 + mean) / 3, mean]], rtol=1e-6)


def test_means_are_those_of_the_series_itself():
    past, future = encode({"c": np.array(list("aaaa"))}, {"c": np.array(["a"] * 4)}, lengths=(2, 2))
    np.testing.assert_array_equal(past, [[1.5, 1.5, 6, 6]])
    np.testing.assert_array_equal(future, [[1.5, 1.5, 6, 6]])


def test_what_the_past_never_showed_is_the_mean_of_its_own_series():
    _, future = encode({"c": np.array(list("abaa"))}, {"c": np.array(["z", "z", "b", "b"])}, lengths=(2, 2))
    np.testing.assert_array_equal(future, [[1.5, 1.5, 6, 6]])


def test_missing_values_are_a_category_and_missing_targets_do_not_count():
    target = [[2.0, np.nan, 4.0, np.nan]]
    past, _ = encode({"c": np.array([None, "a", None, "a"], object)}, target=target)
    np.testing.assert_array_equal(past, [[3, 3, 3, 3]])
    past, _ = encode({"c": np.array(list("abab"))}, target=[[np.nan] * 4])
    np.testing.assert_array_equal(past, [[0, 0, 0, 0]])


def test_with_several_targets_categories_are_numbered():
    past, future = encode(
        {"c": pd.Series(["b", None, "a", "b"])}, {"c": pd.Series(["z", None])}, target=np.ones((2, 4))
    )
    np.testing.assert_array_equal(past, [[1, 2, 0, 1]])
    np.testing.assert_array_equal(future, [[np.nan, 2]])


def test_covariates_known_ahead_come_last():
    past, future = encode(
        {"x": np.full(4, 1), "y": np.full(4, 2.0), "z": pd.Series([3] * 4, dtype="Int64")},
        {"y": np.full(2, 5), "x": np.full(2, 4)},
    )
    np.testing.assert_array_equal(past[:, 0], [3, 1, 2])
    np.testing.assert_array_equal(future[:, 0], [4, 5])
    assert past.dtype == future.dtype == np.float32


def test_no_covariates():
    past, future = encode({})
    assert past.shape == (0, 4)
    assert future.shape == (0, 2)


@pytest.mark.parametrize("kind", [pd.Series, np.array])
def test_types_that_differ_between_past_and_future(kind):
    numbers, text = kind([1.0, 2.0, 3.0, 4.0]), kind(list("abcd"))
    with pytest.raises(ValueError, match=r"covariate 'c' is numeric in the past, but not in the future \('a'\)"):
        encode({"c": numbers}, {"c": text[:2]})
    with pytest.raises(ValueError, match="covariate 'c' is text in the past, but numeric in the future; give"):
        encode({"c": text}, {"c": numbers[:2]})


def test_futures_that_are_missing_fit_every_past():
    nothing = {"c": pd.Series([None, None], dtype=object)}
    assert np.isnan(encode({"c": pd.Series([1.0] * 4)}, nothing)[1]).all()
    np.testing.assert_array_equal(encode({"c": pd.Series(list("abab"))}, nothing)[1], [[3.75, 3.75]])
    missing = {"c": np.full(2, np.nan)}
    np.testing.assert_array_equal(encode({"c": pd.Series(list("abab"))}, missing)[1], [[3.75, 3.75]])


def test_columns_are_not_modified():
    past = {"c": np.array(list("abab")), "x": np.arange(4.0)}
    for column in past.values():
        column.setflags(write=False)
    encode(past, {"x": np.arange(2.0)})


def test_numbers_need_no_pandas():
    assert_not_imported(
        "pandas",
        "import numpy as np; from chronos_jax.chronos2.covariates import encode_covariates;"
        "x = np.ones(4, np.float32);"
        "encode_covariates({'x': x}, {'x': x[:2]}, x[None], np.array([4]), 2)",
    )
