import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from train.checkpointing import Checkpoints, has_checkpoint, load_model
from train.step import Standardisation, TrainState

ROOT = Path(__file__).parents[2]


def a_state(step: int) -> TrainState:
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        params={"weight": jnp.full((2,), float(step))},
        standardisation=Standardisation(jnp.zeros(2), jnp.ones(2)),
        opt_state={},
        memory=None,
        key=jax.random.key(0),
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[[int, float | None], None]:
    """Saves one more checkpoint of a run in `tmp_path`."""

    def save(step: int, val_loss: float | None) -> None:
        with Checkpoints(tmp_path, keep_last=1) as checkpoints:
            checkpoints.save(step, a_state(step), val_loss)

    return save


def test_a_loss_that_is_not_finite_is_refused_and_what_is_there_stays(
    tmp_path: Path, save: Callable[[int, float | None], None]
) -> None:
    save(1, 2.0)
    for loss in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"validation loss {loss} after step 2: expected a finite one"):
            save(2, loss)
    assert load_model(tmp_path, "latest")[0] == load_model(tmp_path, "best")[0] == 1


def test_the_lowest_loss_is_that_of_the_best_checkpoint(
    tmp_path: Path, save: Callable[[int, float | None], None]
) -> None:
    with Checkpoints(tmp_path, keep_last=1) as checkpoints:
        assert checkpoints.lowest_val_loss == float("inf")
    for step, loss in enumerate((3.0, 2.0, 4.0, None), start=1):
        save(step, loss)
    with Checkpoints(tmp_path, keep_last=1) as checkpoints:
        assert checkpoints.lowest_val_loss == 2.0
    assert (load_model(tmp_path, "best")[0], load_model(tmp_path, "latest")[0]) == (2, 4)


def test_a_run_has_a_checkpoint_when_one_is_whole(tmp_path: Path, save: Callable[[int, float | None], None]) -> None:
    assert not has_checkpoint(tmp_path)
    (tmp_path / "checkpoints" / "1.orbax-checkpoint-tmp").mkdir(parents=True)
    assert not has_checkpoint(tmp_path)
    save(1, None)
    assert has_checkpoint(tmp_path)


def test_nothing_is_compressed_and_no_file_says_where_arrays_were(tmp_path: Path) -> None:
    weight = jnp.zeros(2**14)
    with Checkpoints(tmp_path, keep_last=1) as checkpoints:
        checkpoints.save(1, a_state(1)._replace(params={"weight": weight}), None)
    files = [path for path in (tmp_path / "checkpoints" / "1").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > weight.nbytes
    assert not [path for path in files if path.name == "_sharding"]


def flip_a_bit(checkpoint: Path) -> None:
    path = max((path for path in checkpoint.rglob("d/*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Checkpoints(tmp_path, keep_last=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, a_state(step), None)
    for step in (2, 3):
        flip_a_bit(tmp_path / "checkpoints" / str(step))
    with pytest.raises(ValueError, match=r"checkpoints/3 is damaged \(.* has changed\)"):
        load_model(tmp_path, "latest")
    with Checkpoints(tmp_path, keep_last=3) as checkpoints:
        assert checkpoints.latest == 1
        assert checkpoints.restore(a_state(0)).params["weight"].tolist() == [1, 1]
        checkpoints.save(2, a_state(2), None)
    said = capsys.readouterr().err
    assert "the checkpoint of step 3 is damaged" in said
    assert "the checkpoint of step 2 is damaged" in said
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"1", "2", "2.damaged", "3.damaged"}
    assert load_model(tmp_path, "latest")[0] == 2


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A run with checkpoints 1, 2 and 3, of which the first is the best and the last was not validated."""
    with Checkpoints(tmp_path, keep_last=3) as checkpoints:
        for step, loss in enumerate((1.0, 2.0, None), start=1):
            checkpoints.save(step, a_state(step), loss)
    return tmp_path


def break_the_metadata(checkpoint: Path) -> None:
    (checkpoint / "_CHECKPOINT_METADATA").write_text("{")


@pytest.mark.parametrize("break_it", [flip_a_bit, break_the_metadata])
def test_a_damaged_best_checkpoint_is_set_aside_and_is_not_the_best_any_more(
    three: Path,
    break_it: Callable[[Path], None],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    break_it(three / "checkpoints" / "1")
    assert load_model(three, "best")[0] == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert "checkpoints/1 is damaged" in said[0]
    assert said[0].endswith("the best of the others is used")
    with Checkpoints(three, keep_last=3) as checkpoints:
        assert (checkpoints.latest, checkpoints.lowest_val_loss) == (3, 2.0)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert "the checkpoint of step 1 is damaged" in said[0]
    assert {path.name for path in (three / "checkpoints").iterdir()} == {"1.damaged", "2", "3"}
    assert load_model(three, "best")[0] == 2
    assert not capfd.readouterr().err
    assert not caplog.records, "Orbax has not seen it"


def test_where_the_best_are_damaged_the_last_whole_one_is_the_best(three: Path) -> None:
    for step in (1, 2):
        flip_a_bit(three / "checkpoints" / str(step))
    number, params, _ = load_model(three, "best")
    assert (number, params["weight"].tolist()) == (3, [3, 3])
    flip_a_bit(three / "checkpoints" / "3")
    with pytest.raises(ValueError, match=r"checkpoints/1 is damaged .*checkpoints/3 is damaged .*Start the run again"):
        load_model(three, "best")


def test_arrays_of_other_shapes_are_refused(three: Path) -> None:
    with Checkpoints(three, keep_last=3) as checkpoints:
        wider = a_state(0)._replace(params={"weight": jnp.zeros(5)})
        has, cannot = r"checkpoints/3 has params\.weight of shape \(2,\)", "that cannot be gone on with"
        with pytest.raises(ValueError, match=rf"{has}, the configuration makes one of shape \(5,\): {cannot}"):
            checkpoints.restore(wider)
        with pytest.raises(ValueError, match=rf"{has}, the configuration makes none: {cannot}"):
            checkpoints.restore(a_state(0)._replace(params={}))
        more = a_state(0)._replace(opt_state={"mu": jnp.zeros(2)})
        with pytest.raises(ValueError, match=r"checkpoints/3 has no opt_state\.mu, the configuration makes one of"):
            checkpoints.restore(more)
        assert checkpoints.restore(a_state(0)).step == 3


def test_some_are_kept_for_good(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, keep_last=1, keep_every=3) as checkpoints:
        for step in range(1, 8):
            checkpoints.save(step, a_state(step), 9.0 - step if step == 2 else 10.0)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"2", "3", "6", "7"}


def test_saving_returns_before_the_files_are_there_and_holds_what_was_given(tmp_path: Path) -> None:
    state = a_state(1)
    with Checkpoints(tmp_path, keep_last=1) as checkpoints:
        checkpoints.save(1, state, None)
        state.params["weight"].delete()
        checkpoints.wait()
        assert checkpoints.restore(a_state(0)).params["weight"].tolist() == [1, 1]


def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
import jax
from test_checkpointing import a_state
from train.checkpointing import Checkpoints
with Checkpoints(Path(sys.argv[1]), keep_last=2) as checkpoints:
    checkpoints.save(1, a_state(1), None)
    checkpoints.wait()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    large = a_state(2)
    large.params["weight"] = jax.random.normal(jax.random.key(0), (100_000,))
    checkpoints.save(2, large, None)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    (fault,) = [line for line in ended.stderr.splitlines() if line.startswith("OSError: ")]
    assert "the checkpoint of step 2 could not be written (File too large)" in fault
    assert load_model(tmp_path, "latest")[0] == 1
