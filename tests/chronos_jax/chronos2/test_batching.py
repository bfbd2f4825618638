import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronos_jax.chronos2.batching import batches, half_octave, joint_groups, variate_bucket
from chronos_jax.chronos2.runner import tokens_at_once
from chronos_jax.chronos2.tasks import Task


@pytest.mark.parametrize(
    ("n", "bucket"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (6, 6), (7, 8), (9, 12), (13, 16), (17, 24), (512, 512)]
)
def test_half_octaves(n, bucket):
    assert half_octave(n) == bucket


@given(st.integers(1, 10**6))
def test_half_octaves_waste_at_most_half(n):
    assert n <= half_octave(n) < 1.5 * n + 1


def test_few_variates_are_exact():
    assert [variate_bucket(n) for n in (1, 5, 8, 9, 13, 17, 100)] == [1, 5, 8, 9, 13, 18, 104]


def task(history, targets=None, future=None):
    known = np.empty((0, 0), np.float32) if future is None else future
    return Task(history, history.shape[0] if targets is None else targets, known)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60)), min_size=1, max_size=20),
    st.none() | st.integers(1, 12),
    st.sampled_from([1, 40, 1000]),
    st.sampled_from([1, 4]),
    st.booleans(),
)
def test_batches_hold_every_task_once_at_the_right_end(shapes, batch_size, tokens, shards, cross_learning):
    tasks = [task(np.full(shape, i, np.float32), targets=1) for i, shape in enumerate(shapes)]
    groups = joint_groups(tasks, batch_size, cross_learning, None)
    seen = []
    for batch in batches(tasks, groups, 4, batch_size, tokens_per_batch=tokens, shards=shards):
        size, variates, length = batch.context_GxVxT.shape
        assert size % shards == 0 or (size == 1 and variates % shards == 0)
        most = max(tokens // (variates * length // 4), 1)
        if batch_size is not None:
            most = min(most, max(batch_size // variates, 1))
        assert size <= -(-most // shards) * shards
        assert length % 4 == 0
        assert batch.future_GxVxH is None
        for place in batch.places:
            v, t = shapes[place.task]
            rows = place.group, slice(place.first, place.first + v)
            np.testing.assert_array_equal(batch.context_GxVxT[*rows, length - t :], tasks[place.task].history_VxT)
            assert np.isnan(batch.context_GxVxT[*rows, : length - t]).all()
            assert batch.variate_mask_GxV[rows].all()
            np.testing.assert_array_equal(batch.target_mask_GxV[rows], np.arange(v) < 1)
        assert batch.variate_mask_GxV.sum() == sum(shapes[place.task][0] for place in batch.places)
        seen += [place.task for place in batch.places]
    assert sorted(seen) == list(range(len(tasks)))


def test_what_is_known_ahead_stands_beside_the_last_variates():
    future = np.arange(6, dtype=np.float32).reshape(2, 3)
    tasks = [task(np.zeros((3, 5), np.float32), targets=1, future=future), task(np.ones((1, 5), np.float32))]
    (batch,) = batches(tasks, [[0, 1]], 4, 8, tokens_per_batch=64)
    assert [tuple(place) for place in batch.places] == [(0, 0, 0), (1, 0, 3)]
    expected = np.full((4, 4), np.nan, np.float32)  # whole patches
    expected[1:3, :3] = future
    np.testing.assert_array_equal(batch.future_GxVxH[0], expected)


def test_a_group_that_fills_the_batch_is_split_by_variate():
    tasks = [task(np.zeros((1, 5), np.float32)) for _ in range(13)]
    (batch,) = batches(tasks, [list(range(13))], 4, 8, tokens_per_batch=64, shards=8)
    assert batch.context_GxVxT.shape[:2] == (1, 16)


def test_tasks_see_each_other_by_id_or_in_runs_of_the_batch_size():
    tasks = [task(np.zeros((v, 5), np.float32)) for v in (1, 2, 1, 3, 1)]
    assert joint_groups(tasks, 3, False, None) == [[0], [1], [2], [3], [4]]
    assert joint_groups(tasks, 3, True, None) == [[0, 1], [2, 3], [4]]
    assert joint_groups(tasks, 3, False, ["b", 7, "b", 7, "a"]) == [[0, 2], [1, 3], [4]]
    with pytest.raises(ValueError, match="not both"):
        joint_groups(tasks, 3, True, [0] * 5)
    with pytest.raises(ValueError, match="one id for each of the 5 inputs, found 2"):
        joint_groups(tasks, 3, False, [0, 1])


def test_ids_of_groups_may_be_arrays_but_nothing_else():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: test)")
    tasks = [task(np.zeros((1, 5), np.float32)) for _ in range(3)]
    for ids in (np.array([1, 0, 1]), jnp.array([1, 0, 1]), torch.tensor([1, 0, 1]), ("b", "a", "b")):
        assert joint_groups(tasks, 8, False, ids) == [[0, 2], [1]]
    for ids in ({0: 1, 1: 1, 2: 1}, 5, "aab", [[1], [1], [1]], [np.nan] * 3, [None] * 3):
        with pytest.raises(TypeError, match="group_ids must be"):
            joint_groups(tasks, 8, False, ids)


def test_batches_are_ordered_by_length_and_hold_no_more_than_fits():
    tasks = [task(np.zeros((1, steps), np.float32)) for steps in np.random.default_rng(0).integers(1, 40, 60)]
    groups = joint_groups(tasks, 256, False, None)
    made = list(batches(tasks, groups, 4, 256, appended_patches=2, tokens_per_batch=50))
    longest = [tasks[place.task].history_VxT.shape[1] for batch in made for place in batch.places]
    assert longest == sorted(longest)
    assert max(x.context_GxVxT.shape[0] * (x.context_GxVxT.shape[2] // 4 + 2) for x in made) in range(40, 51)


@pytest.mark.parametrize("number", [64, 256, 1024])
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_whole_batches_of_windows_are_computed_without_padding(number, platform):
    tasks = [task(np.zeros((5, 50), np.float32))] * number
    groups = joint_groups(tasks, None, False, None)
    made = batches(tasks, groups, 16, None, appended_patches=2, tokens_per_batch=tokens_at_once(platform, 1))
    size = min({"cpu": 32, "tpu": 256}[platform], number)
    assert [x.context_GxVxT.shape for x in made] == [(size, 5, 64)] * (number // size)


def test_every_platform_has_a_limit():
    assert tokens_at_once("gpu", 1) == tokens_at_once("another", 1) == 16384
    assert tokens_at_once("tpu", 8) == 8 * tokens_at_once("tpu", 1)


def test_series_learn_from_255_others_unless_told_otherwise():
    tasks = [task(np.zeros((1, 5), np.float32))] * 300
    assert [len(group) for group in joint_groups(tasks, None, True, None)] == [256, 44]
