import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pytest

from train.encoder import FrozenEncoder
from train.features import FeatureStore, feature_key
from train.smarthome.dataset import Header, Window, WindowSplit

VALUES_WxVxT = np.arange(60, dtype=np.float32).reshape(10, 2, 3)


def a_split(fingerprint: str = "data", values: np.ndarray = VALUES_WxVxT) -> WindowSplit:
    """Ten windows of two variates."""
    header = Header(variates=["a", "b"], sequence_length=3, splits={}, labels=[], label_to_text={}, vocabulary={})
    windows = [Window(str(i), series, {}, "", "", "", [], []) for i, series in enumerate(values)]
    return WindowSplit(header, fingerprint, windows, lambda window: window)


def an_encoder(**identity: object) -> FrozenEncoder:
    return FrozenEncoder({"name": "sum over time", **identity}, lambda series: series.sum(axis=2), batch_size=4)


def test_features_are_computed_once_and_read_back(tmp_path: Path) -> None:
    first = FeatureStore(tmp_path).get(a_split(), an_encoder())
    assert first.encoder_passes == 3
    again = FeatureStore(tmp_path).get(a_split(), an_encoder())
    assert again.encoder_passes == 0
    assert isinstance(again.array_NxF, np.memmap)
    np.testing.assert_array_equal(again.array_NxF, VALUES_WxVxT.sum(axis=2))


def test_other_data_and_other_encoders_have_their_own(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.get(a_split(), an_encoder())
    assert store.get(a_split("other data"), an_encoder()).encoder_passes == 3
    assert store.get(a_split(), an_encoder(layer=2)).encoder_passes == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_the_header_says_what_the_features_are(tmp_path: Path) -> None:
    FeatureStore(tmp_path).get(a_split(), an_encoder())
    header = json.loads((tmp_path / feature_key("data", an_encoder()) / "header.json").read_text())
    assert header["shape"] == [10, 2]
    assert header["encoder"] == {"name": "sum over time"}
    assert header["data"] == "data"


@pytest.mark.parametrize("damage", ["a bit", "the end", "the header"])
def test_damaged_features_are_not_used(tmp_path: Path, damage: str) -> None:
    path = FeatureStore(tmp_path).get(a_split(), an_encoder()).path
    content = bytearray(path.read_bytes())
    if damage == "a bit":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "the end":
        path.write_bytes(content[:-4])
    else:
        path.with_name("header.json").write_text("{")
    with pytest.raises(ValueError, match="damaged: delete the folder"):
        FeatureStore(tmp_path).get(a_split(), an_encoder())


def test_output_that_is_not_finite_names_its_windows_and_is_not_kept(tmp_path: Path) -> None:
    values = VALUES_WxVxT.copy()
    values[[5, 9]] = np.inf
    with pytest.raises(ValueError, match=r"not finite for windows \[5\]"):
        FeatureStore(tmp_path).get(a_split(values=values), an_encoder())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_goes_and_what_another_is_writing_stays(tmp_path: Path) -> None:
    key = feature_key("data", an_encoder())
    killed, writing, unrelated = (
        tmp_path / f"{name}.writing-{end}" for name, end in ((key, os.getpid()), (key, "b"), ("other", "c"))
    )
    for folder in (killed, writing, unrelated):
        folder.mkdir()
        (folder / "features.npy").write_bytes(b"half")
    held = os.open(writing, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    features = FeatureStore(tmp_path).get(a_split(), an_encoder())
    os.close(held)
    assert features.encoder_passes == 3
    assert set(tmp_path.iterdir()) == {features.path.parent, writing, unrelated}


def test_a_run_that_is_writing_holds_what_it_writes(tmp_path: Path) -> None:
    """A second run that starts meanwhile sweeps, but leaves the first one's folder alone."""

    def with_a_second_run(series: np.ndarray) -> np.ndarray:
        if series[0, 0, 0] > 0:
            FeatureStore(tmp_path).get(a_split(), an_encoder())
        return series.sum(axis=2)

    first = FrozenEncoder(an_encoder().identity, with_a_second_run, batch_size=4)
    features = FeatureStore(tmp_path).get(a_split(), first)
    np.testing.assert_array_equal(features.array_NxF, VALUES_WxVxT.sum(axis=2))
    assert list(tmp_path.iterdir()) == [features.path.parent]


def test_an_encoder_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail_later(series: np.ndarray) -> np.ndarray:
        if series[0, 0, 0] > 0:
            raise KeyboardInterrupt
        return series.sum(axis=2)

    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path).get(a_split(), FrozenEncoder({}, fail_later, batch_size=4))
    assert not list(tmp_path.iterdir())
