import json
from pathlib import Path

import numpy as np
import pytest
from reference import write_random_checkpoint
from safetensors.numpy import load_file, save_file

from chronos_jax.chronos2.config import Chronos2Config
from convert.__main__ import main
from convert.chronos2_verification import example_inputs

CONFIG = Chronos2Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=3, max_output_patches=4)


@pytest.fixture
def installed_reference() -> None:
    pytest.importorskip("torch", reason="the PyTorch reference is not installed (extra: test)")


@pytest.mark.usefixtures("installed_reference")
def test_a_checkpoint_agrees_with_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_random_checkpoint(tmp_path / "random", CONFIG)
    assert main(["verify", str(tmp_path / "random")]) == 0
    shown = capsys.readouterr().out
    for name in (*example_inputs(), "embedding", "forecast", "loc", "scale"):
        assert name in shown


@pytest.mark.usefixtures("installed_reference")
def test_orbax_and_adapters_agree_with_the_reference(tmp_path: Path, reference_lora: Path, reference_checkpoint: Path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_bytes((reference_lora / "adapter_config.json").read_bytes())
    # As published, the adapter changes almost nothing; of size 1, it leaves softmax choices that rounding decides.
    rng = np.random.default_rng(0)
    lora = load_file(reference_lora / "adapter_model.safetensors")
    lora = {name: 0.3 * rng.standard_normal(x.shape, dtype=np.float32) for name, x in lora.items()}
    save_file(lora, adapter / "adapter_model.safetensors")
    base = ["--base", str(reference_checkpoint)]
    assert main(["verify", str(adapter), *base]) == 0
    assert main(["to-orbax", str(adapter), str(tmp_path / "orbax"), *base]) == 0
    assert main(["verify", str(tmp_path / "orbax")]) == 0


@pytest.mark.usefixtures("installed_reference")
def test_a_configuration_that_the_reference_reads_otherwise_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = write_random_checkpoint(tmp_path / "random", CONFIG)
    original = Chronos2Config.from_dict.__func__
    other = {"time_encoding_scale": 100}
    monkeypatch.setattr(
        Chronos2Config, "from_dict", classmethod(lambda cls, raw: original(cls, raw).model_copy(update=other))
    )
    assert json.loads((folder / "config.json").read_text())["chronos_config"]["time_encoding_scale"] == 8192
    assert main(["verify", str(folder)]) == 1
    assert "largest (bound 1e-05)" in capsys.readouterr().out
