from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.chronos2 import embedding
from chronos_jax.sharding import make_mesh
from train.compilation.programs import DataShapes, encoder_config, extraction, num_features, training_step
from train.config import TrainConfig
from train.data import captions_of
from train.encoder import load_encoder
from train.input import Captions
from train.run import text_inputs_of
from train.smarthome.records import open_split


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return make_mesh({"data": 4, "fsdp": 2})


def test_without_data_sizes_are_assumed_and_said() -> None:
    data = DataShapes.of(TrainConfig.model_validate({}))
    assert (data.variates, data.length, data.captions) == (5, 50, 4)
    assert data.text_inputs([]).shape[1] == 32
    assert len(data.assumptions) == 3
    assert "1,000 different words" in data.assumptions[2]
    assert len(DataShapes.of(TrainConfig.model_validate({"sequence_length": 30})).assumptions) == 2


def test_sizes_are_those_of_the_data_where_there_are_any(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config()
    assert config.train_data_path is not None
    captions = captions_of(open_split(config.train_data_path, "train"), config)
    tables = Captions.of(captions, text_inputs_of(config, captions))
    data = DataShapes.of(config)
    assert data.assumptions == ()
    assert data.captions == tables.own_texts_NxC.shape[1]
    assert data.text_inputs([]).shape[1] == tables.text_inputs_UxK.shape[1]


@pytest.mark.parametrize(
    "keys",
    [{}, {"variate_pooling": "mean"}, {"include_loc_scale": False}, {"encoder": "statistics"}],
)
def test_features_are_as_many_as_the_encoder_makes(keys: dict[str, Any]) -> None:
    config = TrainConfig.model_validate({"chronos_model_name": "random:tiny"} | keys)
    series = np.random.default_rng(0).normal(size=(2, 5, 50)).astype(np.float32)
    assert num_features(config, DataShapes.of(config)) == load_encoder(config)(series).shape[1]


def test_the_pass_compiled_is_the_pass_run(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes, types and places of all arguments, and the static ones."""
    keys = {"chronos_model_name": "random:tiny", "encoder_batch_size": 20, "use_amp": True, "pooling": "max"}
    config = TrainConfig.model_validate(keys)
    seen: list[Any] = []
    encode = embedding._encode
    monkeypatch.setattr(embedding, "_encode", lambda *arguments: seen.append(arguments) or encode(*arguments))
    load_encoder(config, mesh)(np.zeros((20, 5, 50), np.float32) + np.arange(50, dtype=np.float32))
    monkeypatch.undo()

    program = extraction(config, DataShapes.of(config), mesh)
    (run,) = seen
    static, arrays = run[:4], run[4:]
    assert static[:3] == (-1, "max", False)
    compiled = [(shape.shape, shape.dtype) for shape in jax.tree.leaves(program.lowered.in_avals)]
    assert compiled == [(array.shape, array.dtype) for array in jax.tree.leaves(arrays)]
    places = [*jax.tree.leaves(program.parts["parameters"]), *program.parts["batch"]]
    for shape, array in zip(places, jax.tree.leaves(arrays), strict=True):
        assert shape.sharding.is_equivalent_to(array.sharding, array.ndim)
    assert program.windows_per_chip == 3  # 20 on 8 devices, filled up


def test_a_batch_that_cannot_be_split_is_refused(mesh: Mesh) -> None:
    config = TrainConfig.model_validate({"encoder": "statistics", "batch_size": 12})
    with pytest.raises(ValueError, match="batch_size 12 is not a multiple of the 8 parts"):
        training_step(config, DataShapes.of(config), mesh)


def test_of_a_folder_its_configuration_is_enough(reference_checkpoint: Path, tmp_path: Path) -> None:
    assert encoder_config("random:tiny").d_model == 32
    assert encoder_config(str(reference_checkpoint)).num_layers > 0


def test_an_encoder_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"'nobody/nothing' is no existing folder, and config\.json"):
        encoder_config("nobody/nothing")
    with pytest.raises(CheckpointError, match="no existing folder"):
        encoder_config("not a name/of any/kind")
