"""On eight CPU devices in place of chips: memory and FLOPs are those that this compiler finds."""

import json
from io import StringIO

import jax
import pytest
from jax.sharding import Mesh
from rich.console import Console

from chronos_jax.sharding import make_mesh
from train.chips import CHIPS
from train.compilation.measure import Verdict, bytes_per_chip, measure
from train.compilation.programs import DataShapes, Program, training_step
from train.compilation.report import Report
from train.config import TrainConfig

CHIP = CHIPS["TPU v5 lite"]
SMALL = {"encoder": "statistics", "projection_hidden_dim": 64, "output_dim": 32, "batch_size": 64}


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return make_mesh({"data": 2, "fsdp": 2, "tensor": 2})


@pytest.fixture(scope="module")
def program(mesh: Mesh) -> Program:
    config = TrainConfig.model_validate(SMALL)
    return training_step(config, DataShapes.of(config), mesh)


@pytest.fixture(scope="module")
def verdict(program: Program) -> Verdict:
    return measure(program, CHIP, CHIP.memory)


def test_parts_are_what_one_chip_holds_of_them(program: Program, verdict: Verdict) -> None:
    assert verdict.cost is not None
    parts = verdict.cost.memory.parts
    whole = sum(leaf.size * 4 for leaf in jax.tree.leaves(program.parts["parameters"]))
    assert whole / 4 < parts["parameters"] < whole / 2  # wide axes are split over fsdp and tensor, biases are not
    assert 2 * parts["parameters"] <= parts["optimiser"] < 2 * parts["parameters"] + 64
    assert parts["batch"] == 64 // 4 * (70 + 32 + 1 + 4) * 4 + 4
    assert verdict.cost.memory.arguments == pytest.approx(sum(parts.values()), rel=0.02)
    assert verdict.cost.memory.total > sum(parts.values())
    assert bytes_per_chip(program.parts) == sum(parts.values())


def test_every_chip_computes_its_part(verdict: Verdict) -> None:
    assert verdict.windows_per_chip == 16
    assert verdict.cost is not None
    assert verdict.cost.counts is not None
    assert verdict.cost.counts.collectives
    assert verdict.cost.compiler_flops > verdict.cost.model_flops > 0


def test_more_than_the_limit_does_not_fit(program: Program, verdict: Verdict) -> None:
    assert verdict.fits
    tight = measure(program, CHIP, 1000)
    assert not tight.fits
    assert tight.reason.endswith("is more than 0.00 GiB")


class Refused:
    """A program that the compiler gives up on."""

    def __init__(self, message: str) -> None:
        self.message = message

    def compile(self) -> None:
        raise jax.errors.JaxRuntimeError(self.message)


def test_what_the_compiler_gives_up_on_does_not_fit(program: Program) -> None:
    refused = program._replace(lowered=Refused("RESOURCE_EXHAUSTED: used 40.00G of 15.75G hbm.\nand so on"))
    verdict = measure_on_chip(refused)
    assert (verdict.fits, verdict.cost) == (False, None)
    assert verdict.reason == "used 40.00G of 15.75G hbm."


def test_other_errors_of_the_compiler_are_no_verdict(program: Program) -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        measure_on_chip(program._replace(lowered=Refused("INTERNAL: broken")))


def measure_on_chip(program: Program) -> Verdict:
    return measure(program, CHIP, CHIP.memory)


@pytest.fixture
def report(mesh: Mesh, program: Program, verdict: Verdict) -> Report:
    refused = Verdict("feature extraction", 64, 4, "", False, "used 40.00G of 15.75G hbm.", None, 1.0)
    return Report("v5e:2x4", mesh, CHIP, CHIP.memory, [refused, verdict], ["windows of 50 events"])


def test_the_table_is_plain_and_narrow_where_it_is_piped(report: Report) -> None:
    out = StringIO()
    report.print_to(Console(file=out, width=100))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "feature extraction does not fit: used 40.00G of 15.75G hbm." in text
    assert "training step fits" in text
    assert "all-reduce" in text
    assert "form of the loss" in text


def test_json_has_the_same_numbers(report: Report, verdict: Verdict) -> None:
    content = json.loads(report.as_json())
    assert (content["fits"], content["chips"], content["mesh"]) == (False, 8, {"data": 2, "fsdp": 2, "tensor": 2})
    extraction, step = content["programs"]
    assert extraction["cost"] is None
    assert verdict.cost is not None
    assert step["cost"]["memory"]["total"] == verdict.cost.memory.total
    assert step["cost"]["counts"]["collectives"]["all-reduce"]["number"] > 0


def test_without_the_text_of_the_program_memory_still_counts(
    program: Program, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler newer than this JAX writes what it cannot read."""

    def unreadable(self: jax.stages.Compiled) -> str:
        raise jax.errors.JaxRuntimeError("INTERNAL: RET_CHECK failure")

    monkeypatch.setattr(jax.stages.Compiled, "as_text", unreadable)
    verdict = measure_on_chip(program)
    assert verdict.fits
    assert verdict.cost is not None
    assert verdict.cost.counts is None
    out = StringIO()
    report = Report("v6e:4x4", mesh, CHIP, CHIP.memory, [verdict], [])
    report.print_to(Console(file=out, width=100))
    assert f"pip install 'jax[tpu]=={jax.__version__}'" in out.getvalue().replace("\n", " ")
    assert json.loads(report.as_json())["programs"][0]["cost"]["counts"] is None
