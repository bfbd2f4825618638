import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.loading import load_params
from chronos_jax.checkpoints.sources import Source, load_config, resolve
from chronos_jax.checkpoints.weights import Weight

PREFIX = "base_model.model."
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["lin"], "bias": "none"}


def write_adapter(folder: Path, changes: dict[str, Any] | None = None, ranks: tuple[int, int] = (2, 2)) -> Path:
    """An adapter for both linear layers of the made-up model, each of its own rank."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    tensors = {}
    for layer, rank in enumerate(ranks):
        for side, shape in (("A", (rank, 4)), ("B", (6, rank))):
            tensors[f"{PREFIX}block.{layer}.lin.lora_{side}.weight"] = rng.standard_normal(shape, dtype=np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | (changes or {})))
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def change_tensors(folder: Path, **changes: np.ndarray | None) -> None:
    """Replaces (or removes, for None) tensors of an adapter, named without prefix, "__" for a dot."""
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, value in changes.items():
        key = PREFIX + name.replace("__", ".")
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
    save_file(tensors, folder / "adapter_model.safetensors")


def merged(adapter: Path, base: Path, table: list[Weight]) -> np.ndarray:
    """Both linear layers, as published (layer, out, in)."""
    kernel = load_params(resolve(adapter, base=base), table)["blocks"]["lin"]["kernel"]
    return kernel.swapaxes(1, 2)


def expected(adapter: Path, tensors: dict[str, np.ndarray], scalings: tuple[float, float]) -> np.ndarray:
    """W + scaling · B · A by definition, in float64."""
    lora = load_file(adapter / "adapter_model.safetensors")
    layers = []
    for layer, scaling in enumerate(scalings):
        a, b = (lora[f"{PREFIX}block.{layer}.lin.lora_{side}.weight"].astype(np.float64) for side in "AB")
        layers.append(tensors[f"block.{layer}.lin.weight"] + scaling * b @ a)
    return np.stack(layers)


def test_the_change_is_added_to_what_it_adapts_only(
    adapter: Path, checkpoint: Path, table: list[Weight], tensors: dict[str, np.ndarray]
):
    np.testing.assert_allclose(
        merged(adapter, checkpoint, table), expected(adapter, tensors, (3, 3)), rtol=1e-6, atol=1e-6
    )
    params = load_params(resolve(adapter, base=checkpoint), table)
    np.testing.assert_array_equal(params["embed"]["table"], tensors["embed.weight"])


@pytest.mark.parametrize(
    ("changes", "ranks", "scalings"),
    [
        ({"use_rslora": True}, (2, 2), (6 / 2**0.5, 6 / 2**0.5)),
        ({"rank_pattern": {"block.1.lin": 4}}, (2, 4), (6 / 2, 6 / 4)),
        ({"alpha_pattern": {"1.lin": 8}}, (2, 2), (6 / 2, 8 / 2)),
        ({"alpha_pattern": {"^block.0.lin": 10}}, (2, 2), (10 / 2, 6 / 2)),
        ({"alpha_pattern": {"n": 8}}, (2, 2), (6 / 2, 6 / 2)),  # only whole names of modules
        ({"rank_pattern": {"0.lin": 3}, "alpha_pattern": {"lin": 2}, "use_rslora": True}, (3, 2), (2 / 3**0.5, 2**0.5)),
    ],
)
def test_the_scaling_follows_the_adapters_configuration(
    tmp_path: Path,
    checkpoint: Path,
    table: list[Weight],
    tensors: dict[str, np.ndarray],
    changes: dict[str, Any],
    ranks: tuple[int, int],
    scalings: tuple[float, float],
):
    adapter = write_adapter(tmp_path / "adapter", changes, ranks)
    np.testing.assert_allclose(
        merged(adapter, checkpoint, table), expected(adapter, tensors, scalings), rtol=1e-6, atol=1e-6
    )


def test_merging_happens_in_float32_before_rounding(
    adapter: Path, checkpoint: Path, table: list[Weight], tensors: dict[str, np.ndarray]
):
    rounded = load_params(resolve(adapter, base=checkpoint), table, "bfloat16")["blocks"]["lin"]["kernel"]
    np.testing.assert_array_equal(rounded, merged(adapter, checkpoint, table).swapaxes(1, 2).astype(rounded.dtype))


def test_the_configuration_is_that_of_the_base(adapter: Path, checkpoint: Path):
    source = resolve(adapter, base=checkpoint)
    assert (source.kind, source.base) == ("lora", resolve(checkpoint))
    assert load_config(source) == {"size": 4}


def test_the_base_is_found_by_the_name_that_the_adapter_gives(tmp_path: Path, checkpoint: Path):
    adapter = write_adapter(tmp_path / "adapter", {"base_model_name_or_path": str(checkpoint)})
    assert resolve(adapter).base == resolve(checkpoint)


def test_a_base_that_cannot_be_found_is_asked_for(tmp_path: Path, adapter: Path, checkpoint: Path):
    with pytest.raises(CheckpointError, match="does not name its base model; pass it as base"):
        resolve(adapter)
    with pytest.raises(CheckpointError, match="cannot find the base of the adapter"):
        resolve(adapter, base=tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"must be a safetensors checkpoint, but .* is of kind lora"):
        resolve(adapter, base=write_adapter(tmp_path / "other", {"base_model_name_or_path": str(checkpoint)}))


@pytest.mark.parametrize(
    "setting",
    [
        {"use_dora": True},
        {"fan_in_fan_out": True},
        {"bias": "lora_only"},
        {"modules_to_save": ["embed"]},
        {"peft_type": "LOHA"},
        {"lora_bias": True},
        {"init_lora_weights": "pissa"},
    ],
)
def test_what_merging_cannot_express_is_refused_by_name(
    tmp_path: Path, checkpoint: Path, table: list[Weight], setting: dict[str, Any]
):
    ((name, value),) = setting.items()
    adapter = write_adapter(tmp_path / "adapter", setting)
    with pytest.raises(CheckpointError, match=f"{name} = ") as caught:
        load_params(resolve(adapter, base=checkpoint), table)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"r": None}, "r: Input should be a valid integer"),
        ({"r": 0}, "r: Input should be greater than 0"),
        ({"lora_alpha": "much"}, "lora_alpha: Input should be a valid number"),
        ({"alpha_pattern": {"(": 1}}, "is no regular expression"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    tmp_path: Path, checkpoint: Path, table: list[Weight], setting: dict[str, Any], complaint: str
):
    adapter = write_adapter(tmp_path / "adapter", setting)
    with pytest.raises(CheckpointError, match=complaint):
        load_params(resolve(adapter, base=checkpoint), table)


def test_one_error_lists_every_tensor_that_does_not_fit(adapter: Path, checkpoint: Path, table: list[Weight]):
    change_tensors(
        adapter,
        block__0__lin__lora_B__weight=None,
        block__1__lin__lora_A__weight=np.zeros((3, 4), np.float32),
        block__7__lin__lora_A__weight=np.zeros((2, 4), np.float32),
        block__7__lin__lora_B__weight=np.zeros((6, 2), np.float32),
        embed__weight=np.zeros((3, 4), np.float32),
        block__0__norm__lora_A__weight=np.zeros((2, 4), np.float32),
        block__0__norm__lora_B__weight=np.zeros((4, 2), np.int32),
    )
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["target_modules"] = ["lin", "absent"]
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_params(resolve(adapter, base=checkpoint), table)
    assert sorted(line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]) == [
        "adapter_config.json names the target module absent, but the adapter has no tensors for it",
        f"{PREFIX}block.0.lin.lora_A.weight has no partner lora_B",
        f"{PREFIX}block.0.norm.lora_B.weight is stored as I32, expected one of F32, BF16, F16",
        f"{PREFIX}block.1.lin.lora_A.weight has shape (3, 4), expected (2, 4) (rank 2 for a weight of shape (6, 4))",
        "the adapter changes block.0.norm.weight, which is no matrix but of shape (4,)",
        "the adapter changes block.7.lin.weight, which the base does not have",
        f"unknown tensor {PREFIX}embed.weight in the adapter",
    ]


def test_an_adapter_of_another_format_is_not_read(adapter: Path, checkpoint: Path, table: list[Weight]):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"holds no adapter_model\.safetensors"):
        load_params(resolve(adapter, base=checkpoint), table)


def peft_state(adapter: Path, base: Path) -> dict[str, np.ndarray]:
    """The reference's tensors after peft has merged the adapter."""
    pytest.importorskip("torch", reason="the PyTorch reference is not installed (extra: test)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers' and peft's own deprecations
        peft = pytest.importorskip("peft", reason="peft is not installed (extra: test)")
        chronos = pytest.importorskip("chronos", reason="chronos-forecasting is not installed (extra: test)")
        model = chronos.Chronos2Pipeline.from_pretrained(base).model
        model = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"encoder.block.1.layer.0.self_attention.q": 64, "self_attention.v": 2, "k": 1}},
    ],
)
def test_the_result_is_that_of_peft(
    tmp_path: Path, reference_lora: Path, reference_checkpoint: Path, changes: dict[str, Any]
):
    from chronos_jax.checkpoints.saving import save_safetensors
    from chronos_jax.families import family_of

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    config = json.loads((reference_lora / "adapter_config.json").read_text()) | changes
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "adapter_model.safetensors").write_bytes((reference_lora / "adapter_model.safetensors").read_bytes())
    rng = np.random.default_rng(0)  # as published, B is close to zero
    lora = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {name: rng.standard_normal(x.shape, dtype=np.float32) for name, x in lora.items()},
        adapter / "adapter_model.safetensors",
    )

    source: Source = resolve(adapter, base=reference_checkpoint)
    table = family_of(load_config(source), ()).table
    save_safetensors(tmp_path / "merged", load_params(source, table), table, load_config(source))
    ours = load_file(tmp_path / "merged/model.safetensors")
    theirs = peft_state(adapter, reference_checkpoint)
    base = load_file(reference_checkpoint / "model.safetensors")
    assert sum(not np.array_equal(ours[name], base[name]) for name in ours) == len(lora) // 2
    for name, tensor in ours.items():
        np.testing.assert_allclose(tensor, theirs[name], rtol=0, atol=1e-6 * np.abs(theirs[name]).max(), err_msg=name)
