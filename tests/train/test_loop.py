import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from train import loop, throughput
from train.checkpointing import load_model
from train.chips import Chip
from train.config import TrainConfig
from train.data import open_splits
from train.loop import NonFiniteError, train
from train.processes import Stopped
from train.run import load_run

Configure = Callable[..., TrainConfig]


def metrics(run_dir: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def checkpoints(run_dir: Path) -> list[int]:
    return sorted(int(path.name) for path in (run_dir / "checkpoints").iterdir() if path.name.isdigit())


def test_fifty_epochs_run_the_encoder_once_and_the_next_run_not_at_all(tiny_config: Configure, tmp_path: Path) -> None:
    def run(name: str, epochs: int) -> tuple[int, int]:
        config = tiny_config(
            output_dir=tmp_path / name,
            features_dir=tmp_path / "features",
            batch_size=64,
            max_epochs=epochs,
            max_steps=None,
            val_interval=10_000,
        )
        outcome = train(config)
        (line,) = metrics(outcome.run_dir, "encoder")
        assert metrics(outcome.run_dir, "train")[-1]["epoch"] == epochs
        return outcome.encoder_passes, line["passes_train"] + line["passes_validation"]

    assert run("first", epochs=50) == (2, 2)  # one for each split: both fit into one pass
    assert run("second", epochs=1) == (0, 0)


def test_a_run_leaves_metrics_and_the_best_and_last_checkpoints(tiny_config: Configure) -> None:
    config = tiny_config(max_steps=8, val_interval=1, keep_last=2, log_interval=3, learning_rate=0.05, warmup_ratio=0.0)
    outcome = train(config)
    assert (outcome.steps, outcome.resumed_from) == (8, 0)
    assert [line["step"] for line in metrics(outcome.run_dir, "train")] == [3, 6, 8]
    keys = {"loss", "accuracy_window_to_text", "accuracy_text_to_window", "temperature", "windows_per_second"}
    assert (keys | {"grad_norm", "update_norm", "param_norm"}) <= set(metrics(outcome.run_dir, "train")[0])
    validations = metrics(outcome.run_dir, "validation")
    assert [line["step"] for line in validations] == list(range(1, 9))
    best = min(validations, key=lambda line: line["loss"])["step"]
    assert checkpoints(outcome.run_dir) == sorted({best, 7, 8})
    assert load_model(outcome.run_dir, "best")[0] == best
    assert load_model(outcome.run_dir, "latest")[0] == 8


# Weight decay beyond 2 / learning_rate makes the parameters grow by this factor each step, until squares overflow.
DIVERGES = {"weight_decay": 1e7, "learning_rate": 1.0, "warmup_ratio": 0.0, "grad_clip_norm": 0.0, "max_steps": 20}


@pytest.mark.parametrize("val_interval", [1, 100])
def test_a_run_that_diverges_ends_and_leaves_a_checkpoint_that_can_be_used(
    tiny_config: Configure, val_interval: int
) -> None:
    config = tiny_config(**DIVERGES, save_interval=1, val_interval=val_interval)
    with pytest.raises(NonFiniteError, match=r"after step \d+ the validation loss is nan.*checkpoints are from before"):
        train(config)
    assert 1 <= checkpoints(config.output_dir)[-1] < 20
    for which in ("best", "latest"):
        run = load_run(config.output_dir, which)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(nnx.state(run.model)))
        embeddings = run.embed_series(open_splits(config)[1].series())
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-4)


def test_a_loss_that_is_not_finite_ends_the_run_between_checkpoints(tiny_config: Configure) -> None:
    with pytest.raises(NonFiniteError, match=r"loss at step \d+ is (nan|inf).*gradients: .*sensor"):
        train(tiny_config(**DIVERGES, save_interval=100, val_interval=100))


def test_a_first_step_that_breaks_the_parameters_leaves_no_checkpoint(tiny_config: Configure) -> None:
    config = tiny_config(learning_rate=1e30, grad_clip_norm=0, save_interval=1, val_interval=1)
    with pytest.raises(NonFiniteError, match="after step 1 the validation loss is nan"):
        train(config)
    assert checkpoints(config.output_dir) == []


def test_the_lowest_validation_loss_is_kept_also_between_the_saves_asked_for(tiny_config: Configure) -> None:
    config = tiny_config(val_interval=1, save_interval=6, learning_rate=10.0, warmup_ratio=0.9)
    train(config)
    best = min(metrics(config.output_dir, "validation"), key=lambda line: line["loss"])["step"]
    assert best < 6, "the last step is saved anyway and would show nothing"
    assert load_model(config.output_dir, "best")[0] == best


def test_a_run_goes_on_only_with_the_configuration_it_began_with(tiny_config: Configure) -> None:
    train(tiny_config())
    with pytest.raises(ValueError, match=r"another configuration(?s:.*)learning_rate: 0\.001 → 0\.5"):
        train(tiny_config(learning_rate=0.5))
    assert train(tiny_config(log_interval=1)).resumed_from == 6


def test_a_run_logs_where_and_how_fast_it_runs_and_writes_a_trace_if_asked_to(
    tiny_config: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = Chip("a chip", 1e12, 2**30, 1e11)
    monkeypatch.setattr(throughput, "chip_of", lambda kind: chip)
    config = tiny_config(mesh={"data": 4, "fsdp": 2}, max_steps=10, log_interval=5, profile=True)
    run_dir = train(config).run_dir
    assert len(list((run_dir / "profile").rglob("*.xplane.pb"))) == 1

    (began,) = metrics(run_dir, "start")
    assert (began["step"], began["devices"], began["device_kind"], began["processes"]) == (0, 8, "cpu", 1)
    assert (began["mesh"], began["loss_implementation"]) == ({"data": 4, "fsdp": 2, "tensor": 1}, "plain")
    assert began["model_flops"] > 0

    lines = metrics(run_dir, "train")
    assert [line["step"] for line in lines] == [5, 10]
    for line in lines:
        assert 0 <= line["input_wait"] < line["step_time"]
        assert line["windows_per_second"] == pytest.approx(16 / line["step_time"])
        assert line["windows_per_second_per_chip"] == pytest.approx(line["windows_per_second"] / 8)
        assert line["utilisation"] == pytest.approx(began["model_flops"] / line["step_time"] / 8e12)
        assert line["host_memory"] > 10 * 2**20
        assert all(line[name] > 0 for name in ("grad_norm", "update_norm", "param_norm"))


@pytest.mark.parametrize("step", [3, 6])
def test_a_run_that_is_stopped_while_it_validates_makes_up_for_it(
    tiny_config: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: int
) -> None:
    def config(name: str) -> TrainConfig:
        return tiny_config(output_dir=tmp_path / name, val_interval=3, log_interval=1)

    undisturbed = train(config("undisturbed")).run_dir
    asked = False
    batches = loop.validation_batches

    def ask_in_between(*arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal asked
        for number, batch in enumerate(batches(*arguments, **options)):
            asked = number == 1 and len(metrics(tmp_path / "run", "train")) == step
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(loop, "validation_batches", ask_in_between)
        patched.setattr(loop, "stop_requests", lambda: nullcontext(lambda: asked))
        with pytest.raises(Stopped, match=f"stopped after step {step} of 6, now saved"):
            train(config("run"))
    assert checkpoints(tmp_path / "run")[-1] == step
    outcome = train(config("run"))
    assert outcome.resumed_from == step
    for kind in ("train", "validation"):
        one, other = (
            [(line["step"], line["loss"]) for line in metrics(run, kind)] for run in (undisturbed, outcome.run_dir)
        )
        assert one == other
    assert [load_model(run, "best")[0] for run in (undisturbed, outcome.run_dir)] == [checkpoints(undisturbed)[-1]] * 2


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"batch_size": 20}, "batch_size 20 must be a multiple of the 8 devices"),
        (
            {"mesh": {"data": 1, "tensor": 8}, "projection_hidden_dim": 12},
            "projection_hidden_dim 12 must be a multiple",
        ),
        ({"mesh": {"data": 1, "fsdp": 8}, "output_dim": 12}, "output_dim 12 must be a multiple of the 8 devices"),
        ({"mesh": {"data": 3}}, "does not fit 8 devices"),
        ({"text_model_name": "absent.npz"}, "no file of text embeddings at absent.npz"),
        ({"chronos_model_name": "absent/folder/x", "encoder": "chronos2"}, "absent"),
    ],
)
def test_mistakes_come_before_anything_is_compiled(
    tiny_config: Configure, monkeypatch: pytest.MonkeyPatch, keys: dict, complaint: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = tiny_config(**keys)
    with pytest.raises((ValueError, OSError), match=complaint):
        train(config)
    assert not config.output_dir.exists()
