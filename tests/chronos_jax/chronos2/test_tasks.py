import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from reference import reference_module

from chronos_jax.chronos2.tasks import Task, as_tasks, stack_tasks, warn_if_nothing_observed


def known_nothing(history, name="it"):
    return Task(history, len(history), np.empty((0, 0), np.float32), name)


def test_every_form_of_array_is_variates_by_time():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: test)")
    forms = [jnp.ones(4), torch.ones(4, requires_grad=True), torch.ones(2, 3, dtype=torch.bfloat16), [1, 2.5]]
    tasks = as_tasks(forms, 0)
    assert [task.history_VxT.shape for task in tasks] == [(1, 4), (1, 4), (2, 3), (1, 2)]
    assert {task.history_VxT.dtype for task in tasks} == {np.dtype(np.float32)}
    assert [task.history_VxT.shape for task in as_tasks(np.zeros((2, 3, 4)), 0)] == [(3, 4), (3, 4)]


def dictionaries(lengths=(9, 5), horizon=3):
    rng = np.random.default_rng(0)
    return [
        {
            "target": rng.standard_normal(length),
            "past_covariates": {
                "price": rng.standard_normal(length),
                "clicks": rng.integers(0, 9, length),
                "weather": rng.choice(["sun", "rain", "snow"], length),
                "holiday": rng.random(length) < 0.5,
            },
            "future_covariates": {
                "price": rng.standard_normal(horizon),
                "weather": rng.choice(["sun", "rain", "fog"], horizon),
            },
        }
        for length in lengths
    ]


@pytest.mark.parametrize("variates", [1, 2])
def test_dictionaries_are_those_of_the_reference(variates):
    """Covariates known in the past only, then those known ahead; categories by target, or numbered."""
    preprocess = reference_module("chronos.chronos2.preprocess")
    inputs = dictionaries()
    if variates == 2:
        inputs = [x | {"target": np.stack([x["target"], -x["target"]])} for x in inputs]
    prepared = preprocess.from_list_of_dicts(inputs, prediction_length=3)
    ours, theirs = as_tasks(inputs, 3), as_tasks(prepared, 3)
    for a, b, x in zip(ours, theirs, prepared, strict=True):
        assert a.num_targets == b.num_targets == variates
        np.testing.assert_allclose(a.history_VxT, x["context"].numpy(), rtol=1e-6)
        np.testing.assert_array_equal(b.history_VxT, x["context"].numpy())
        np.testing.assert_allclose(a.future_KxH, x["future_covariates"].numpy()[-2:], rtol=1e-6)
        np.testing.assert_array_equal(b.future_KxH, x["future_covariates"].numpy()[-2:])


def test_values_that_are_not_there_yet_are_unknown():
    inputs = dictionaries()
    expected = as_tasks([x | {"future_covariates": {"weather": x["future_covariates"]["weather"]}} for x in inputs], 3)
    for x, absent in zip(inputs, ([], None), strict=True):
        x["future_covariates"]["price"] = absent
    for a, b in zip(as_tasks(inputs, 3), expected, strict=True):
        np.testing.assert_array_equal(a.history_VxT, b.history_VxT)
        np.testing.assert_array_equal(a.future_KxH, b.future_KxH)


def test_torch_tensors_and_lists_in_dictionaries():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: test)")
    x = {"target": torch.arange(4), "past_covariates": {"a": [1, 2, 3, 4]}, "future_covariates": {"a": torch.ones(2)}}
    (task,) = as_tasks([x], 2)
    np.testing.assert_array_equal(task.history_VxT, [[0, 1, 2, 3], [1, 2, 3, 4]])
    np.testing.assert_array_equal(task.future_KxH, [[1, 1]])


def test_none_and_masked_values_are_missing():
    masked = np.ma.MaskedArray([1.0, 2.0, 3.0], mask=[False, True, False])
    for inputs in ([[1.0, None, 3.0]], [{"target": [1.0, None, 3.0]}], [masked]):
        expected = [[1, np.nan, 3]]
        np.testing.assert_array_equal(as_tasks(inputs, 0)[0].history_VxT, expected)


def test_a_column_of_arrays_is_a_list_of_them():
    column = pd.Series([np.zeros(3), np.zeros(5)])
    assert [task.history_VxT.shape for task in as_tasks(column, 0)] == [(1, 3), (1, 5)]


def test_what_is_passed_is_not_modified():
    x = np.arange(6.0)
    inputs = dictionaries()
    for array in (x, inputs[0]["target"], *inputs[0]["past_covariates"].values()):
        array.setflags(write=False)
    as_tasks([x], 0)
    as_tasks(inputs, 3)
    np.testing.assert_array_equal(x, np.arange(6.0))
    assert list(inputs[0]) == ["target", "past_covariates", "future_covariates"]


def test_rows_of_all_series_are_cut_into_tasks():
    target_VxR = np.arange(5, dtype=np.float32)[None]
    tasks = stack_tasks({"a": np.arange(5, 10)}, {"a": np.zeros(4)}, target_VxR, np.array([2, 3]), 2, [7, 8])
    np.testing.assert_array_equal(tasks[1].history_VxT, [[2, 3, 4], [7, 8, 9]])
    assert [task.future_KxH.shape for task in tasks] == [(1, 2), (1, 2)]
    assert as_tasks(tasks, 2) == tasks


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([], ValueError, "inputs is empty"),
        (np.zeros((0, 1, 4)), ValueError, "inputs is empty"),
        (np.zeros((3, 4)), ValueError, r"3 dimensions.*\(3, 4\)"),
        ([np.zeros((1, 2, 3))], ValueError, r"input 0 must be 1-d .*\(1, 2, 3\)"),
        ([np.zeros(3), np.zeros(0)], ValueError, "input 1 has shape"),
        (
            [np.zeros((2, 3)), np.array([[0, 1], [np.inf, 0]])],
            ValueError,
            "input 1, variate 1 holds values that are infinite",
        ),
        ([np.array([1.0, 1e300])], ValueError, "input 0, variate 0 holds values that are infinite or beyond 1e"),
        ([np.array([1.0, -1e18])], ValueError, "input 0, variate 0 holds values that are infinite or beyond 1e"),
        (pd.DataFrame({"y": [1.0]}), TypeError, "inputs is a DataFrame: give it to predict_df"),
        ([pd.DataFrame({"y": [1.0]})], TypeError, "input 0 is a DataFrame: give it to predict_df"),
        (["abc"], TypeError, "input 0 must be an array of numbers"),
        ([np.array(["2024-01-01"], "M8[D]")], TypeError, "input 0 must be an array of numbers"),
        ("abc", TypeError, "must be a 3-d array, a list"),
        (None, TypeError, "NoneType"),
        ([{"target": [1.0]}, [1.0]], TypeError, r"input 1 is no dictionary \(list\)"),
        ([{"target": [1.0], "covariates": {}}], ValueError, r"input 0 has the invalid keys \['covariates'\]"),
        ([{"past_covariates": {}}], ValueError, "input 0 does not contain the required key 'target'"),
        ([{"target": np.zeros((1, 1, 2))}], ValueError, "the target of input 0 must be 1-d"),
        ([{"target": ["a", "b"]}], TypeError, "the target of input 0 must be an array of numbers"),
        ([{"target": [1.0], "past_covariates": [1.0]}], TypeError, "past_covariates of input 0 must be a dictionary"),
        ([{"target": [1.0], "future_covariates": 3}], TypeError, "future_covariates of input 0 must be a dictionary"),
        (
            [{"target": [1.0, 2.0], "past_covariates": {"a": [1.0]}}],
            ValueError,
            r"past_covariates 'a' of input 0 .* length of the target \(2\), found shape \(1,\)",
        ),
        ([{"target": [1.0], "past_covariates": {"a": None}}], ValueError, r"no values for \['a'\]"),
        (
            [{"target": [1.0], "past_covariates": {"a": [np.inf]}}],
            ValueError,
            "input 0, covariate 0 holds values that are infinite",
        ),
        (
            [{"target": [1.0], "past_covariates": {"a": [1.0]}, "future_covariates": {"a": [1.0, np.inf, 1.0]}}],
            ValueError,
            "future covariates of input 0 hold values that are infinite",
        ),
        (
            [{"target": [1.0], "past_covariates": {"a": [1.0]}, "future_covariates": {"a": [1.0]}}],
            ValueError,
            r"future_covariates 'a' of input 0 .* prediction_length = 3 steps, found shape \(1,\)",
        ),
        (
            [{"target": [1.0], "future_covariates": {"a": [1.0] * 3}}],
            ValueError,
            r"future_covariates must be a subset of past_covariates.*\['a'\]",
        ),
        (
            [{"target": [1.0]}, {"target": [[1.0], [2.0]]}],
            ValueError,
            "target of input 1 has 2 variates.*once a schema",
        ),
        (
            [{"target": [1.0], "past_covariates": {"a": [1.0]}}, {"target": [1.0], "past_covariates": {"b": [1.0]}}],
            ValueError,
            r"past_covariates of input 1 are \['b'\], those of input 0 are \['a'\]",
        ),
        (
            [
                {"target": [1.0], "past_covariates": {"a": [1.0]}, "future_covariates": {"a": None}},
                {"target": [1.0], "past_covariates": {"a": [1.0]}, "future_covariates": {"a": [1.0] * 3}},
            ],
            ValueError,
            "future_covariates 'a' has values in some inputs but not in others",
        ),
        ([{"context": np.zeros((1, 3))}, {"target": [1.0]}], ValueError, "input 1 is not prepared .* give one kind"),
        ([{"context": np.zeros((1, 3))}], TypeError, "input 0 has a 'context' but lacks 'future_covariates'"),
        (
            [
                {
                    "context": np.zeros((1, 3)),
                    "future_covariates": np.zeros((2, 3)),
                    "n_targets": 1,
                    "n_future_covariates": 1,
                }
            ],
            ValueError,
            "do not fit together",
        ),
    ],
)
def test_what_is_wrong_with_the_input_is_said(inputs, error, message):
    with pytest.raises(error, match=message):
        as_tasks(inputs, 3)


def test_what_is_wrong_is_found_among_many():
    inputs = [np.ones(3, np.float32)] * 700
    with pytest.raises(ValueError, match=r"^input 600, variate 0 holds values that are infinite"):
        as_tasks([*inputs[:600], np.array([1, -np.inf], np.float32), *inputs[601:]], 0)
    with pytest.raises(ValueError, match=r"^input 255 has shape \(1, 0\)"):
        as_tasks([*inputs[:255], np.empty(0, np.float32), *inputs], 0)
    ahead = Task(np.ones((1, 3), np.float32), 0, np.array([[1e18]], np.float32), "the last")
    with pytest.raises(ValueError, match=r"^the future covariates of the last"):
        as_tasks([*as_tasks(inputs, 0), ahead], 0)
    unseen = np.array([[1, 2], [np.nan, np.nan]], np.float32)
    with pytest.warns(UserWarning, match=r"target of input 100 \(variate 1\), input 699: what"):
        warn_if_nothing_observed(as_tasks([*inputs[:100], unseen, *inputs[101:699], unseen[1]], 0))


def test_targets_with_nothing_observed_are_named():
    seen, unseen = np.zeros((1, 3), np.float32), np.full((1, 3), np.nan, np.float32)
    half = known_nothing(np.concatenate([seen, unseen]))
    with pytest.warns(UserWarning, match=r"target of input 1, input 2 \(variate 1\): what comes out means nothing"):
        warn_if_nothing_observed(as_tasks([seen, unseen, half.history_VxT], 0))
    with pytest.warns(UserWarning, match="target of series 'shop'"):
        warn_if_nothing_observed([known_nothing(unseen, "series 'shop'")])
    with pytest.warns(UserWarning, match="and 2 more"):
        warn_if_nothing_observed([known_nothing(unseen)] * 12)
    warn_if_nothing_observed([Task(np.concatenate([seen, unseen]), 1, np.empty((0, 0), np.float32))])  # a covariate
