import pickle
from pathlib import Path

import jax
import numpy as np
import pytest

from chronos_jax.sharding import make_mesh
from train.input import Captions, Examples, to_devices, training_batches, validation_batches
from train.negatives import EMPTY
from train.text import WordVocabulary

CAPTIONS = [["a 1"], ["a 1", "b 2"], ["c"], ["b 2", "c", "d 4"], ["e"], ["f"], ["g"], ["h"], ["i"], ["j"]]
VOCABULARY = WordVocabulary.of(text for texts in CAPTIONS for text in texts)


def examples() -> Examples:
    """Ten windows; the feature of window i is i."""
    return Examples(np.arange(10, dtype=np.float32)[:, None], Captions.of(CAPTIONS, VOCABULARY))


def steps(count: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Windows and numbers of captions of the first batches."""
    batches = training_batches(examples(), batch_size=4, seed=seed)
    drawn = [next(batches) for _ in range(count)]
    batches.close()
    return [(batch.features_BxF[:, 0].astype(int).tolist(), batch.text_ids_B.tolist()) for batch in drawn]


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
    batch = next(training_batches(examples(), batch_size=10, seed=0))
    for window, words, text, own in zip(*batch, strict=True):
        texts = CAPTIONS[int(window[0])]
        assert text in own
        assert words.tolist() in VOCABULARY(texts).tolist()
        assert (own != EMPTY).sum() == len(texts)


def test_the_position_can_be_stored_and_taken_up() -> None:
    batches = training_batches(examples(), batch_size=4, seed=0)
    for _ in range(3):
        next(batches)
    state = batches.get_state()
    expected = [next(batches).text_ids_B.tolist() for _ in range(4)]
    other = training_batches(examples(), batch_size=4, seed=0)
    other.set_state(state)
    assert [next(other).text_ids_B.tolist() for _ in range(4)] == expected


def test_worker_processes_change_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", examples().features_NxF)
    mapped = Examples(np.load(tmp_path / "features.npy", mmap_mode="r"), examples().captions)
    assert b"features.npy" in pickle.dumps(mapped)  # the map travels by its name
    batches = training_batches(mapped, batch_size=4, seed=0, workers=1)
    drawn = [next(batches).text_ids_B.tolist() for _ in range(3)]
    batches.close()
    assert drawn == [texts for _, texts in steps(3)]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_batches_that_one_would_see(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    alone = steps(3)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    parts = []
    for process in range(processes):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        parts.append(steps(3))
    for step, (windows, texts) in enumerate(alone):
        assert [window for part in parts for window in part[step][0]] == windows
        assert [text for part in parts for text in part[step][1]] == texts


@pytest.mark.parametrize(
    ("batch_size", "shards", "sizes"),
    [(4, 1, [3, 3, 3]), (10, 1, [10]), (100, 4, [8]), (6, 2, [4, 4]), (8, 8, [8]), (6, 6, [6]), (3, 3, [3, 3, 3])],
)
def test_validation_batches_are_equal_and_in_order(batch_size: int, shards: int, sizes: list[int]) -> None:
    batches = validation_batches(examples(), batch_size=batch_size, shards=shards)
    assert [len(batch.text_ids_B) for batch in batches] == sizes
    windows = np.concatenate([batch.features_BxF[:, 0] for batch in batches])
    assert windows.tolist() == list(range(sum(sizes)))
    assert batches[0].text_ids_B.tolist()[:3] == [0, 0, 2]  # the first caption of each


def test_batches_lie_split_over_the_devices() -> None:
    mesh = make_mesh({"data": 4, "fsdp": 2})
    host = next(training_batches(examples(), batch_size=8, seed=0))
    batch = to_devices(host, mesh)
    assert {shard.data.shape for shard in batch.features_BxF.addressable_shards} == {(1, 1)}
    np.testing.assert_array_equal(batch.text_ids_B, host.text_ids_B)
