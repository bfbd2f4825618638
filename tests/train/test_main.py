import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from train.__main__ import main, parse
from train.config import TrainConfig

Configure = Callable[..., TrainConfig]


def test_options_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"learning_rate": 0.5, "batch_size": 64, "max_epochs": 3}))
    options = ["--learning_rate", "1e-3", "--use-amp", "--max_epochs", "None"]
    config = parse(["--config", str(tmp_path / "config.json"), *options])
    assert (config.learning_rate, config.batch_size, config.use_amp, config.max_epochs) == (1e-3, 64, True, None)


def test_every_key_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = capsys.readouterr().out
    assert [key for key in TrainConfig.model_fields if f"--{key}" not in shown] == []


def test_an_unknown_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--learning_rat", "1"])
    assert "--learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ["--use_hard_negatives", "--hard_negative_memory_size", "3"],
            "memory_size 3 is less than the 128 texts drawn",
        ),
        (["--batch_size", "1", "--layer", "0"], "batch_size: Input should be greater than or equal to 2, got 1"),
    ],
)
def test_values_that_cannot_work_are_named_as_those_of_a_file_are(options: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(options)
    assert str(end.value.code).startswith("error: ")
    assert complaint in str(end.value.code)
    assert "pydantic" not in str(end.value.code)
    assert "\n" not in str(end.value.code)


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"learnin_rate": 0.5}))
    assert main(["--config", str(tmp_path / "config.json")]) == 1
    errors = capsys.readouterr().err
    assert "unknown key 'learnin_rate': the nearest known one is 'learning_rate'" in errors
    assert "Traceback" not in errors


def test_the_command_trains_and_says_where_everything_is(
    tiny_config: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.json"
    file.write_text(tiny_config(evaluate=False).model_dump_json())
    assert main(["--config", str(file), "--max_steps", "3"]) == 0
    shown = capsys.readouterr().out
    assert "3 steps" in shown
    run_dir = tmp_path / "run"
    for name in ("config.json", "metrics.jsonl", "checkpoints"):
        assert (run_dir / name).exists()
        assert str(run_dir / name) in shown
    assert json.loads((run_dir / "config.json").read_text())["max_steps"] == 3


def test_a_run_compiles_five_programs_of_its_own(tiny_config: Configure, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(tiny_config(evaluate=False, max_steps=4, val_interval=2).model_dump_json())
    code = f"from train.__main__ import main; assert main(['--config', {str(file)!r}]) == 0"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "JAX_LOG_COMPILES": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    compiled = Counter(re.findall(r"Finished XLA compilation of jit\((.+?)\) in", run.stderr))
    own = ("towers", "first_state", "train_step", "validation_step", "finite_leaves")
    assert {name: compiled.pop(name, 0) for name in own} == dict.fromkeys(own, 1)
    assert compiled.total() <= 1  # Optax makes a zero
