"""The command as its users start it: in a process of its own, with the TPU compiler and without a TPU."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tpu import tpu_environment

from train.compilation import command
from train.compilation.command import run
from train.compile import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--encoder", "statistics", "--projection_hidden_dim", "64", "--output_dim", "64")


@cache
def compile_for(topology: str, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "train.compile", "--topology", topology, *options]
    return subprocess.run(arguments, env=tpu_environment(), cwd=ROOT, capture_output=True, text=True, check=False)


def program(done: subprocess.CompletedProcess[str], number: int) -> dict[str, Any]:
    return json.loads(done.stdout)["programs"][number]


@pytest.mark.tpu_compile
def test_what_fits_is_said_to_fit() -> None:
    options = ("--chronos_model_name", "random:tiny", *SMALL[2:])
    done = compile_for("v5e:2x4", *options)
    assert done.returncode == 0, done.stderr
    assert "v5e:2x4: 8 × TPU v5e" in done.stdout
    assert "The feature extraction fits\nThe training step fits\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    # Nothing of the compiler's own talk.
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == ["compiling", "compiling"]


@pytest.mark.tpu_compile
def test_what_does_not_fit_is_said_not_to() -> None:
    done = compile_for("v5e:2x4", *SMALL, "--per_chip_batch", "100000", "--loss_implementation", "plain")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "The training step does not fit: " in done.stdout
    assert "of 15.75G" in done.stdout.replace("\n", " ") or "(15.75G)" in done.stdout.replace("\n", " ")


@pytest.mark.tpu_compile
@pytest.mark.parametrize(
    ("topology", "chips", "name"),
    [("v4:2x2x1", 4, "TPU v4"), ("v5p:2x2x1", 4, "TPU v5p"), ("v6e:2x4", 8, "TPU v6e")],
)
def test_every_version_compiles(topology: str, chips: int, name: str) -> None:
    done = compile_for(topology, *SMALL, "--per_chip_batch", "64", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["chips"], content["chip"]["name"]) == (chips, name)
    assert content["programs"][0]["cost"]["memory"]["total"] > 0


@pytest.mark.tpu_compile
def test_the_largest_batch_within_a_limit_is_found() -> None:
    smallest = program(compile_for("v5e:2x4", *SMALL, "--per_chip_batch", "128", "--json"), 0)
    limit = 1.5 * smallest["cost"]["memory"]["total"] / 2**30
    done = compile_for("v5e:2x4", *SMALL, "--find_batch", "--memory_limit", str(limit), "--json")
    assert done.returncode == 0, done.stderr
    found = program(done, 0)
    assert found["windows_per_chip"] >= 128
    assert found["windows_per_chip"] % 128 == 0
    assert found["cost"]["memory"]["total"] <= limit * 2**30
    assert "does not fit: " in done.stderr
    assert f"largest batch per chip found: {found['windows_per_chip']:,}" in done.stderr


FULL = ("--chronos_model_name", "random:chronos-2", "--use_amp", "--encoder_batch_size", "256")  # a host has four chips


@pytest.mark.tpu_compile
def test_the_encoder_sends_nothing_from_chip_to_chip() -> None:
    extraction = program(compile_for("v5e:2x4", *FULL, "--per_chip_batch", "1024", "--json"), 0)
    assert (extraction["windows_per_chip"], extraction["chips"]) == (64, 8)
    assert extraction["cost"]["counts"]["collectives"] == {}
    # The program computes what the model needs, and nothing twice; less the positions of the last block that pooling
    # does not read, and more for pairs of positions of a block that do not see each other.
    assert 1 < extraction["cost"]["counts"]["flops"] / extraction["cost"]["model_flops"] < 1.02


@pytest.mark.tpu_compile
def test_the_training_step_sends_neither_encoder_weights_nor_logits() -> None:
    done = compile_for("v5e:2x4", *FULL, "--per_chip_batch", "1024", "--json")
    extraction, step = program(done, 0), program(done, 1)
    batch = 8 * 1024
    cost = step["cost"]
    assert set(cost["memory"]["parts"]) == {"parameters", "optimiser", "other state", "batch"}
    # It has no encoder: all its arguments are a fraction of one.
    assert cost["memory"]["arguments"] < extraction["cost"]["memory"]["parts"]["parameters"] / 2
    largest = max(one["largest"] for one in cost["counts"]["collectives"].values())
    # The embeddings of one tower, or all gradients at once; the matrix of logits would be sixteen times as much.
    assert largest <= max(batch * 512 * 4, 2 * cost["memory"]["parts"]["parameters"]) < batch * batch * 4 / 8
    assert sum(one["bytes"] for one in cost["counts"]["collectives"].values()) < batch * batch


@pytest.mark.tpu_compile
@pytest.mark.parametrize("loss", ["ring", "tiles"])
def test_a_ring_sends_blocks_of_embeddings_hop_by_hop(loss: str) -> None:
    done = compile_for("v5e:2x4", *SMALL, "--per_chip_batch", "1024", "--loss_implementation", loss, "--json")
    step = program(done, 0)
    assert step["loss"] == loss
    traffic = step["cost"]["counts"]["collectives"]
    block = 1024 * 64 * 4
    assert traffic["collective-permute"]["number"] >= 7
    assert traffic["collective-permute"]["largest"] <= 3 * block  # embeddings with their gradient and what goes along
    assert max(one["largest"] for one in traffic.values()) <= max(
        3 * block, 2 * step["cost"]["memory"]["parts"]["parameters"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: --topology is missing: name the slice"),
        (["--topology", "v9:2x2"], "error: no TPU topology 'v9:2x2': names have forms such as"),
        (["--topology", "v5e:2x4", "--config", "/nowhere.json"], "error: no configuration file at /nowhere.json"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_fault_of_the_command_does_not_read_as_too_little_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: list[str]) -> int:
        raise KeyError("a fault")

    monkeypatch.setattr(command, "run", broken)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert main([]) == 2
    assert "KeyError: 'a fault'" in capsys.readouterr().err


def test_an_unknown_option_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--topology", "v5e:2x4", "--per_chip_bach", "3"])
    assert ended.value.code == 2
    assert "per_chip_batch" in capsys.readouterr().err
