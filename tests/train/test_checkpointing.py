from collections.abc import Callable
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import pytest

from train.checkpointing import Checkpoints, has_checkpoint, load_model
from train.step import Standardisation, TrainState


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
            checkpoints.save(a_state(step), iter(grain.MapDataset.range(3).to_iter_dataset()), val_loss)

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
