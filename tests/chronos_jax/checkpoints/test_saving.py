import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.loading import load_params
from chronos_jax.checkpoints.saving import save_safetensors
from chronos_jax.checkpoints.sources import resolve
from chronos_jax.checkpoints.weights import Weight

Tensors = dict[str, np.ndarray]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_file_is_byte_for_byte_the_librarys(
    tmp_path: Path, checkpoint: Path, table: list[Weight], tensors: Tensors, dtype: str
):
    params = load_params(resolve(checkpoint), table, dtype)
    save_safetensors(tmp_path / "saved", params, table, {"size": 4})
    kind = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}[dtype]
    expected = save({name: x.astype(kind) for name, x in tensors.items()}, {"format": "pt"})
    assert (tmp_path / "saved/model.safetensors").read_bytes() == expected
    assert json.loads((tmp_path / "saved/config.json").read_text()) == {"size": 4}
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["config.json", "model.safetensors"]


def test_parameters_of_another_model_are_refused_before_anything_is_written(
    tmp_path: Path, checkpoint: Path, table: list[Weight]
):
    params = load_params(resolve(checkpoint), table)
    del params["embed"]
    params["blocks"]["lin"]["kernel"] = params["blocks"]["lin"]["kernel"][:1].astype(np.float16)
    params["blocks"]["extra"] = np.zeros(1, np.float32)
    with pytest.raises(CheckpointError) as caught:
        save_safetensors(tmp_path / "saved", params, table, {})
    assert str(caught.value).splitlines()[1:] == [
        "  - missing: embed.table, expected with shape (3, 4)",
        "  - blocks.lin.kernel has shape (1, 4, 6), expected (2, 4, 6)",
        "  - unknown: blocks.extra of shape (1,)",
        "  - the arrays are of float16, float32, expected all float32 or all bfloat16",
    ]
    assert not (tmp_path / "saved").exists()
