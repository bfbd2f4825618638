"""Text encoders through the converter: BERT with and without what checkpoints carry besides, CLIP's text tower."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from text_checkpoints import CLIP, write_hub_bert, write_whole_clip
from text_models import transformers_module

from chronos_jax.checkpoints.weights import published_shapes
from chronos_jax.text.clip import params as clip
from convert.__main__ import main

COMPANIONS = {
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
}
Tensors = dict[str, np.ndarray]


def tensors_in(folder: Path) -> Tensors:
    return load_file(folder / "model.safetensors")


def places(folder: Path) -> set[str]:
    """Files of a folder, those of Orbax apart."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {place for place in found if not place.startswith("params/")}


def there_and_back(source: Path, tmp_path: Path, *options: str) -> Path:
    assert main(["to-orbax", str(source), str(tmp_path / "orbax"), *options]) == 0
    assert main(["to-safetensors", str(tmp_path / "orbax"), str(tmp_path / "again")]) == 0
    return tmp_path / "again"


def assert_same_bytes(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert found[name].tobytes() == tensor.tobytes(), name


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("pooler", [True, False])
def test_a_bert_comes_back_bit_for_bit_with_its_pooler_or_without(tmp_path: Path, pooler: bool, dtype: Any):
    before = tensors_in(write_hub_bert(tmp_path / "published", pooler=pooler, dtype=dtype))
    del before["embeddings.position_ids"]
    assert ("pooler.dense.bias" in before) == pooler
    assert_same_bytes(tensors_in(there_and_back(tmp_path / "published", tmp_path)), before)


def test_float16_is_widened_exactly_and_other_types_of_what_is_not_used_do_not_matter(tmp_path: Path):
    before = tensors_in(write_hub_bert(tmp_path / "published", dtype=np.float16))
    after = tensors_in(there_and_back(tmp_path / "published", tmp_path))
    for name, tensor in after.items():
        np.testing.assert_array_equal(tensor, before[name].astype(np.float32), strict=True)
    assert json.loads((tmp_path / "again/config.json").read_text())["torch_dtype"] == "float32"


def test_tokenizer_and_pooling_are_copied_unchanged_both_ways(tmp_path: Path):
    published = write_hub_bert(tmp_path / "published")
    (published / "vocab.txt").rename(tmp_path / "blob")
    (published / "vocab.txt").symlink_to("../blob")  # as in the hub's cache
    there_and_back(published, tmp_path)
    for folder, weights in (("orbax", set()), ("again", {"model.safetensors"})):
        assert places(tmp_path / folder) == COMPANIONS | {"config.json"} | weights
        for place in COMPANIONS:
            assert (tmp_path / folder / place).read_bytes() == (published / place).read_bytes()
            assert not (tmp_path / folder / place).is_symlink()


def test_a_text_checkpoint_may_be_overwritten_unless_something_else_lies_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["to-orbax", str(write_hub_bert(tmp_path / "published")), str(tmp_path / "made"), "--overwrite"]
    assert main(arguments) == main(arguments) == 0
    (tmp_path / "made/1_Pooling/thesis.tex").touch()
    assert main(arguments) == 1
    assert "overwriting it would delete 1_Pooling" in capsys.readouterr().err


def test_of_a_clip_the_text_tower_is_kept(tmp_path: Path):
    before = tensors_in(write_whole_clip(tmp_path / "published"))
    after = there_and_back(tmp_path / "published", tmp_path)
    assert_same_bytes(tensors_in(after), {name: before[name] for name, _ in published_shapes(clip.weight_table(CLIP))})
    assert json.loads((after / "config.json").read_text()) == CLIP.to_dict() | {"torch_dtype": "float32"}


def test_transformers_loads_the_text_tower_and_computes_the_same(tmp_path: Path):
    transformers = transformers_module()
    import torch

    assert main(["to-safetensors", str(write_whole_clip(tmp_path / "published")), str(tmp_path / "tower")]) == 0
    whole = transformers.CLIPModel.from_pretrained(tmp_path / "published").eval()
    tower, loading = transformers.CLIPTextModelWithProjection.from_pretrained(
        tmp_path / "tower", output_loading_info=True
    )
    assert not any(loading[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokens = torch.tensor([[1198, 5, 6, 1199, 1199], [1198, 8, 1199, 1, 2]])
    with torch.no_grad():
        expected = whole.text_projection(whole.text_model(tokens).pooler_output)
        found = tower.eval()(tokens).text_embeds
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def without(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        save_file({k: x for k, x in tensors_in(folder).items() if k != name}, folder / "model.safetensors")

    return change


def added(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        save_file(tensors_in(folder) | {name: np.zeros(3, np.float32)}, folder / "model.safetensors")

    return change


def configured(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


def deleted(place: str) -> Callable[[Path], None]:
    return lambda folder: (folder / place).unlink()


def truncate(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


BAD_INPUT: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (without("encoder.layer.1.output.dense.bias"), "missing: encoder.layer.1.output.dense.bias, expected"),
    "half a pooler": (without("pooler.dense.bias"), "missing: pooler.dense.bias, expected with shape (32,)"),
    "unknown": (added("cls.predictions.bias"), "unknown: cls.predictions.bias of shape (3,)"),
    "mis-shaped": (configured(intermediate_size=40), "intermediate.dense.weight has shape (48, 32), expected (40, 32)"),
    "truncated": (truncate, "model.safetensors is truncated or corrupt"),
    "pickles only": (pickled, "of its pickle files (pytorch_model.bin) none is read"),
    "positions": (configured(position_embedding_type="relative_key"), "position_embedding_type 'relative_key'"),
    "no tokenizer": (deleted("tokenizer.json"), "has no tokenizer.json"),
    "no pooling": (deleted("1_Pooling/config.json"), "1_Pooling has no config.json"),
    "another family": (configured(model_type="mpnet"), "a model of type 'mpnet'"),
}


@pytest.mark.parametrize("command", ["to-orbax", "to-safetensors", "inspect", "verify"])
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_said_and_leaves_nothing(
    tmp_path: Path, command: str, case: str, capsys: pytest.CaptureFixture[str]
):
    if command == "verify":
        transformers_module()
    damage, complaint = BAD_INPUT[case]
    damage(write_hub_bert(tmp_path / "published"))
    arguments = [str(tmp_path / "made")] if command.startswith("to-") else []
    assert main([command, str(tmp_path / "published"), *arguments]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert complaint in message
    assert [path.name for path in tmp_path.iterdir()] == ["published"]
