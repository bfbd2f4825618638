import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from train.encoder import FrozenEncoder
from train.feature_files import ABANDONED_AFTER_S, WRITING
from train.features import Features, FeatureStore, feature_key
from train.processes import Stopped
from train.smarthome.dataset import Header, Window, WindowSplit
from train.smarthome.records import open_split

VALUES_WxVxT = np.random.default_rng(0).normal(3.0, size=(39, 2, 3)).astype(np.float32)
FEATURES_WxF = VALUES_WxVxT.sum(axis=2)
SHARDS = [(0, 16), (16, 32), (32, 39)]


def a_split(fingerprint: str = "data", values: np.ndarray = VALUES_WxVxT) -> WindowSplit:
    """Thirty-nine windows of two variates."""
    header = Header(variates=["a", "b"], sequence_length=3, splits={}, labels=[], label_to_text={}, vocabulary={})
    windows = [Window(str(i), series, {}, "", "", "", [], []) for i, series in enumerate(values)]
    return WindowSplit(header, fingerprint, windows, lambda window: window)


def an_encoder(batch_size: int = 2, **identity: object) -> FrozenEncoder:
    """Twenty passes for the split, eight of them a shard."""
    return FrozenEncoder({"name": "sum over time", **identity}, lambda series: np.nansum(series, axis=2), batch_size)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_whole(features: Features) -> None:
    np.testing.assert_array_equal(features[np.arange(39)], FEATURES_WxF)


def test_features_are_computed_once_and_read_back(tmp_path: Path) -> None:
    first = FeatureStore(tmp_path).get(a_split(), an_encoder())
    assert first.encoder_passes == 20
    again = FeatureStore(tmp_path).get(a_split(), an_encoder())
    assert again.encoder_passes == 0
    assert (len(again), again.shape) == (39, (39, 2))
    assert_whole(again)


def test_rows_are_gathered_in_any_order_from_any_shard(tmp_path: Path) -> None:
    features = FeatureStore(tmp_path).get(a_split(), an_encoder())
    rows = np.array([38, 0, 15, 16, 16, 31, 2, 32])
    np.testing.assert_array_equal(features[rows], FEATURES_WxF[rows])
    assert features[rows[:0]].shape == (0, 2)
    for absent in ([0, 39], [-1]):
        with pytest.raises(IndexError, match="features of windows 0 to 38"):
            features[np.array(absent)]


def test_features_travel_to_other_processes_by_their_place(tmp_path: Path) -> None:
    features = FeatureStore(tmp_path).get(a_split(), an_encoder())
    sent = pickle.dumps(features)
    assert len(sent) < 1000
    assert_whole(pickle.loads(sent))


def test_moments_are_those_of_all_windows(tmp_path: Path) -> None:
    mean_F, deviation_F = FeatureStore(tmp_path).get(a_split(), an_encoder()).moments()
    np.testing.assert_allclose(mean_F, FEATURES_WxF.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation_F, FEATURES_WxF.astype(np.float64).std(axis=0), rtol=1e-12)


def test_other_data_and_other_encoders_have_their_own(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.get(a_split(), an_encoder())
    assert store.get(a_split("other data"), an_encoder()).encoder_passes == 20
    assert store.get(a_split(), an_encoder(layer=2)).encoder_passes == 20
    assert len(list(tmp_path.iterdir())) == 3


def test_the_header_says_what_the_features_are(tmp_path: Path) -> None:
    folder = FeatureStore(tmp_path).get(a_split(), an_encoder()).folder
    assert folder == tmp_path / feature_key("data", an_encoder())
    header = json.loads((folder / "header.json").read_text())
    assert header["shape"] == [39, 2]
    assert header["encoder"] == {"name": "sum over time"}
    assert header["data"] == "data"


def array(folder: Path, number: int) -> Path:
    first, behind = SHARDS[number]
    return folder / f"features-{first:010d}-{behind:010d}.npy"


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_a_moment(folder: Path) -> None:
    record = array(folder, 1).with_suffix(".json")
    content = json.loads(record.read_text())
    content["mean"][0] += 1e-9
    record.write_text(json.dumps(content))


DAMAGES: dict[str, tuple[Callable[[Path], object], int]] = {
    "a bit": (lambda folder: flip_a_bit(array(folder, 1)), 8),
    "the end of a shard": (lambda folder: array(folder, 2).write_bytes(array(folder, 2).read_bytes()[:-4]), 4),
    "a shard": (lambda folder: array(folder, 0).unlink(), 8),
    "a record": (lambda folder: array(folder, 1).with_suffix(".json").unlink(), 8),
    "half a record": (lambda folder: array(folder, 1).with_suffix(".json").write_text('{"sha256":'), 8),
    "a record of another kind": (lambda folder: array(folder, 1).with_suffix(".json").write_text("[1]"), 8),
    "a moment": (change_a_moment, 8),
    "a shard of other windows": (lambda folder: array(folder, 0).replace(array(folder, 1)), 16),
    "the header": (lambda folder: (folder / "header.json").write_bytes(b"{\xff"), 0),
    "no header": (lambda folder: (folder / "header.json").unlink(), 0),
    "the layout": (lambda folder: (folder / "layout.json").write_text("{"), 0),
    "a layout that the shards do not have": (
        lambda folder: (folder / "layout.json").write_text('{"windows_per_shard": 7}'),
        0,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_computed_again_and_nothing_else(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture
) -> None:
    store = FeatureStore(tmp_path)
    folder = store.get(a_split(), an_encoder()).folder
    before = contents(folder)
    change, passes = DAMAGES[damage]
    change(folder)
    assert contents(folder) != before
    features = store.get(a_split(), an_encoder())
    assert features.encoder_passes == passes
    assert_whole(features)
    assert contents(folder) == before
    said = capsys.readouterr().err.splitlines()
    assert len(said) == bool(passes)
    assert all(f"damaged shards of stored features: {-(-passes // 8)} of 3, such as {folder}/" in line for line in said)


def test_an_extraction_that_ended_half_way_goes_on_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    stopping = an_encoder()
    with pytest.raises(Stopped, match="asked to end"):
        FeatureStore(tmp_path).get(a_split(), stopping, stop=lambda: stopping.passes == 19)
    folder = tmp_path / feature_key("data", stopping)
    assert not (folder / "header.json").exists()
    kept = contents(folder)
    assert len(kept) == 5  # the layout, and two files of two shards
    features = FeatureStore(tmp_path).get(a_split(), an_encoder())
    assert features.encoder_passes == 4
    assert_whole(features)
    assert kept.items() <= contents(folder).items()
    assert not capsys.readouterr().err  # what was not computed yet is not damaged


def test_whoever_asks_to_end_at_once_is_heard_before_the_first_pass(tmp_path: Path) -> None:
    encoder = an_encoder()
    with pytest.raises(Stopped):
        FeatureStore(tmp_path).get(a_split(), encoder, stop=lambda: True)
    assert encoder.passes == 0


def test_other_batches_go_on_with_the_shards_that_were_begun(tmp_path: Path) -> None:
    """As after running out of memory; a batch that does not divide a shard leaves a smaller one in each."""
    stopping = an_encoder()
    with pytest.raises(Stopped):
        FeatureStore(tmp_path).get(a_split(), stopping, stop=lambda: stopping.passes == 8)
    features = FeatureStore(tmp_path).get(a_split(), an_encoder(batch_size=3))
    assert features.encoder_passes == 6 + 3
    assert_whole(features)


def test_output_that_is_not_finite_names_its_windows_and_is_not_kept(tmp_path: Path) -> None:
    values = VALUES_WxVxT.copy()
    values[[17, 38]] = np.inf
    with pytest.raises(ValueError, match=r"not finite for windows \[17\]"):
        FeatureStore(tmp_path).get(a_split(values=values), an_encoder())
    folder = tmp_path / feature_key("data", an_encoder())
    assert sorted(path.name for path in folder.glob("*.npy")) == [array(folder, 0).name]


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_an_encoder_that_fails_leaves_nothing_half(tmp_path: Path, exception: type[BaseException]) -> None:
    def fail_later(series: np.ndarray) -> np.ndarray:
        if encoder.passes == 10:
            raise exception
        return series.sum(axis=2)

    encoder = FrozenEncoder(an_encoder().identity, fail_later, batch_size=2)
    with pytest.raises(exception):
        FeatureStore(tmp_path).get(a_split(), encoder)
    assert FeatureStore(tmp_path).get(a_split(), an_encoder()).encoder_passes == 12


def test_what_a_killed_run_left_goes_and_what_another_is_writing_stays(tmp_path: Path) -> None:
    folder = tmp_path / feature_key("data", an_encoder())
    folder.mkdir()
    left, writing = (folder / f"features-0.npy{WRITING}{end}" for end in "ab")
    for path in (left, writing):
        path.write_bytes(b"half")
    long_ago = time.time() - ABANDONED_AFTER_S - 1
    os.utime(left, (long_ago, long_ago))
    assert_whole(FeatureStore(tmp_path).get(a_split(), an_encoder()))
    assert [path for path in folder.iterdir() if WRITING in path.name] == [writing]


@pytest.mark.parametrize("batch_size", [2, 5])
def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path, batch_size: int) -> None:
    """The second begins and ends while the first is at work, with the same or with other batches."""
    passes = []

    def with_a_second_run(series: np.ndarray) -> np.ndarray:
        if first.passes == 9:
            second = FeatureStore(tmp_path).get(a_split(), an_encoder(batch_size))
            assert_whole(second)
            passes.append(second.encoder_passes)
        return series.sum(axis=2)

    first = FrozenEncoder(an_encoder().identity, with_a_second_run, batch_size=2)
    features = FeatureStore(tmp_path).get(a_split(), first)
    assert passes == [{2: 12, 5: 4 + 2}[batch_size]]
    assert_whole(features)
    assert FeatureStore(tmp_path).get(a_split(), an_encoder()).encoder_passes == 0


def test_reading_goes_window_by_window_and_keeps_few(tmp_path: Path) -> None:
    """While the encoder has come to a window, only few batches after it have been read."""
    ahead = []

    class Counted(list):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            return super().__getitem__(index)

    values = np.tile(VALUES_WxVxT, (20, 1, 1))
    split = a_split(values=values)
    split._records = Counted(split._records)

    def encode(series: np.ndarray) -> np.ndarray:
        ahead.append(split._records.read - 2 * encoder.passes)
        return series.sum(axis=2)

    encoder = FrozenEncoder({}, encode, batch_size=2)
    assert len(FeatureStore(tmp_path).get(split, encoder)) == len(values)
    assert split._records.read == len(values)
    assert max(ahead) <= 2 * 8


def test_worker_processes_change_nothing(tmp_path: Path, simulated_home: Path) -> None:
    split = open_split(simulated_home, "validation")
    threads = FeatureStore(tmp_path / "threads").get(split, an_encoder(4))
    workers = FeatureStore(tmp_path / "workers", workers=1).get(split, an_encoder(4))
    assert workers.encoder_passes == threads.encoder_passes > 8
    assert contents(workers.folder) == contents(threads.folder)
