import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronos_jax.chronos2.batching import as_series, batches, half_octave, variate_bucket


@pytest.mark.parametrize(
    ("n", "bucket"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (6, 6), (7, 8), (9, 12), (13, 16), (17, 24), (512, 512)]
)
def test_half_octaves(n, bucket):
    assert half_octave(n) == bucket


@given(st.integers(1, 10**6))
def test_half_octaves_waste_at_most_half(n):
    assert n <= half_octave(n) < 1.5 * n + 1


def test_few_variates_are_exact():
    assert [variate_bucket(n) for n in (1, 5, 7, 8, 9, 13)] == [1, 5, 7, 8, 12, 16]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60)), min_size=1, max_size=20),
    st.integers(1, 12),
    st.sampled_from([None, 1, 40]),
    st.sampled_from([1, 4]),
)
def test_batches_hold_every_input_once_at_the_right_end(shapes, batch_size, tokens, shards):
    series = [np.full(shape, i, np.float32) for i, shape in enumerate(shapes)]
    seen = []
    for batch in batches(series, 4, batch_size, tokens, shards):
        groups, variates, length = batch.context_GxVxT.shape
        assert groups % shards == 0
        assert shards > 1 or groups * variates <= max(batch_size, variates)
        assert length % 4 == 0
        for row, index in enumerate(batch.indices):
            v, t = shapes[index]
            np.testing.assert_array_equal(batch.context_GxVxT[row, :v, length - t :], series[index])
            assert np.isnan(batch.context_GxVxT[row]).sum() == variates * length - v * t
            assert batch.variate_mask_GxV[row].sum() == v
        assert not batch.variate_mask_GxV[len(batch.indices) :].any()
        seen += batch.indices
    assert sorted(seen) == list(range(len(series)))


def test_every_form_of_input_is_a_list_of_variates_by_time():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: test)")
    import jax.numpy as jnp

    assert [x.shape for x in as_series(np.zeros((2, 3, 4)))] == [(3, 4), (3, 4)]
    assert [x.shape for x in as_series([np.zeros(4), np.zeros((2, 5))])] == [(1, 4), (2, 5)]
    forms = [jnp.ones(4), torch.ones(4, requires_grad=True), torch.ones(2, 3, dtype=torch.bfloat16), [1, 2.5]]
    assert [x.shape for x in as_series(forms)] == [(1, 4), (1, 4), (2, 3), (1, 2)]
    assert {x.dtype for x in as_series(forms)} == {np.dtype(np.float32)}


def test_inputs_are_not_modified():
    x = np.arange(6.0)
    x.setflags(write=False)
    (series,) = as_series([x])
    next(iter(batches([series], 4, 8)))
    np.testing.assert_array_equal(x, np.arange(6.0))


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
        (["abc"], TypeError, "input 0 must be an array of numbers"),
        ([np.array(["2024-01-01"], "M8[D]")], TypeError, "input 0 must be an array of numbers"),
        ([{"target": np.zeros(3)}], TypeError, "input 0 is a dictionary"),
        ("abc", TypeError, "must be a 3-d array or a list"),
        (None, TypeError, "NoneType"),
    ],
)
def test_what_is_wrong_with_the_input_is_said(inputs, error, message):
    with pytest.raises(error, match=message):
        as_series(inputs)
