from pathlib import Path

import jax
import numpy as np
import pytest

from chronos_jax.sharding import make_mesh
from train.feature_shards import Features, Shard
from train.input import BatchLayout, Captions, Examples, stop_flags, training_batches, validation_batches
from train.negatives import EMPTY
from train.text import WordVocabulary

CAPTIONS = [["a 1"], ["a 1", "b 2"], ["c"], ["b 2", "c", "d 4"], ["e"], ["f"], ["g"], ["h"], ["i"], ["j"]]
VOCABULARY = WordVocabulary.of(text for texts in CAPTIONS for text in texts)


def examples(windows: int = 10) -> Examples:
    """The feature of window i is i, its captions those at i in the list, over and over."""
    captions = [CAPTIONS[window % 10] for window in range(windows)]
    return Examples(np.arange(windows, dtype=np.float32)[:, None], Captions.of(captions, VOCABULARY))


def alone(batch_size: int) -> BatchLayout:
    """Batches on one device."""
    return BatchLayout(make_mesh(devices=jax.devices()[:1]), batch_size)


def steps(count: int, seed: int = 0, start: int = 0, batch_size: int = 4) -> list[tuple[list[int], list[int]]]:
    """Windows and numbers of captions of the first batches."""
    batches = training_batches(examples(), alone(batch_size), seed=seed, start=start)
    drawn = [next(batches) for _ in range(count)]
    batches.close()
    return [(np.asarray(batch.features_BxF)[:, 0].astype(int).tolist(), batch.text_ids_B.tolist()) for batch in drawn]


def test_equal_captions_have_one_number() -> None:
    captions = Captions.of(CAPTIONS, VOCABULARY)
    assert len(captions.text_inputs_UxK) == 10
    assert captions.own_texts_NxC[:4].tolist() == [[0, EMPTY, EMPTY], [0, 1, EMPTY], [2, EMPTY, EMPTY], [1, 2, 3]]
    assert captions.counts_N[:4].tolist() == [1, 2, 1, 3]


def test_an_epoch_has_each_window_at_most_once_and_leaves_the_rest_out() -> None:
    windows = [window for batch, _ in steps(2) for window in batch]
    assert len(set(windows)) == 8


def test_the_order_is_the_same_for_a_seed_and_another_each_epoch() -> None:
    assert steps(6) == steps(6)
    assert steps(6) != steps(6, seed=1)
    first, second = steps(4)[:2], steps(4)[2:]
    assert first != second


def test_each_epoch_draws_one_of_a_windows_captions() -> None:
    drawn = {3: set[int](), 0: set[int]()}
    for windows, texts in steps(60):
        for window, text in zip(windows, texts, strict=True):
            drawn.setdefault(window, set()).add(text)
    assert drawn[3] == {1, 2, 3}
    assert drawn[0] == {0}


def test_rows_belong_together() -> None:
    batch = next(training_batches(examples(), alone(10), seed=0))
    for window, words, text, own in zip(*batch, strict=True):
        texts = CAPTIONS[int(window[0])]
        assert text in own
        assert words.tolist() in VOCABULARY(texts).tolist()
        assert (own != EMPTY).sum() == len(texts)


def test_a_run_can_be_taken_up_at_any_step() -> None:
    assert steps(3, start=4) == steps(7)[4:]


def test_worker_processes_change_nothing(tmp_path: Path) -> None:
    Shard(tmp_path, 0, 10).write([np.arange(10, dtype=np.float32)[:, None]])
    stored = Examples(Features(tmp_path, 10, 10), examples().captions)
    batches = training_batches(stored, alone(4), seed=0, workers=1)
    drawn = [next(batches).text_ids_B.tolist() for _ in range(3)]
    batches.close()
    assert drawn == [texts for _, texts in steps(3)]


@pytest.mark.parametrize(
    "shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}, {"data": 1, "fsdp": 4, "tensor": 2}]
)
def test_a_mesh_changes_nothing_in_a_batch(shape: dict[str, int]) -> None:
    layout = BatchLayout(make_mesh(shape), 8)
    batches = training_batches(examples(), layout, seed=0)
    for windows, texts in steps(2, batch_size=8):
        batch = next(batches)
        assert np.asarray(batch.features_BxF)[:, 0].tolist() == windows
        assert np.asarray(batch.text_ids_B).tolist() == texts
        rows = 8 // (shape["data"] * shape.get("fsdp", 1))
        assert {shard.data.shape for shard in batch.features_BxF.addressable_shards} == {(rows, 1)}


@pytest.mark.parametrize(
    ("windows", "batch_size", "shards", "sizes"),
    [
        (10, 4, 1, [4, 4]),
        (10, 5, 1, [5, 5]),
        (10, 100, 4, [8]),
        (10, 6, 2, [4, 4]),
        (10, 8, 8, [8]),
        (10, 6, 6, [6]),
        (37, 16, 1, [16, 16]),
        (37, 16, 2, [16, 16]),
        (37, 16, 8, [16, 16]),
    ],
)
def test_validation_batches_are_equal_and_in_order(
    windows: int, batch_size: int, shards: int, sizes: list[int]
) -> None:
    mesh = make_mesh(devices=jax.devices()[:shards])
    batches = list(validation_batches(examples(windows), mesh, batch_size=batch_size))
    assert [len(batch.text_ids_B) for batch in batches] == sizes
    seen = np.concatenate([np.asarray(batch.features_BxF)[:, 0] for batch in batches])
    assert seen.tolist() == list(range(sum(sizes)))
    assert batches[0].text_ids_B.tolist()[:3] == [0, 0, 2]  # the first caption of each


def test_every_part_of_a_batch_hears_of_the_stop() -> None:
    mesh = make_mesh({"data": 4, "fsdp": 2})
    assert stop_flags(mesh, True).tolist() == [1] * 8
    assert stop_flags(mesh, False).tolist() == [0] * 8
