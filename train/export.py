"""The command `python -m train.export`: the trained sensor tower as one Orbax checkpoint, and its way back.

The folder is a checkpoint of the frozen encoder in the library's own form, which `Chronos2Pipeline.from_pretrained` and
`python -m convert` read like any other, with the head and the constants beside the encoder's weights:

    config.json     the encoder's configuration, and under "sensor_tower" a `TowerDescription`
    params/state    weights of the encoder; absent where the encoder is "statistics", which has none
    params/tower    weights of the head, mean and deviation of each feature
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from jaxtyping import Float
from orbax.checkpoint import v1 as ocp
from pydantic import BaseModel, ConfigDict, ValidationError

from chronos_jax import Chronos2Pipeline
from chronos_jax.checkpoints.destination import CONFIG, PARAMS, check_destination, destination
from train.command_line import plain_words
from train.config import make_config
from train.data import open_splits
from train.encoder import FrozenEncoder, load_encoder
from train.run import load_run
from train.run_record import record_start
from train.step import Standardisation
from train.towers import ProjectionHead, unit

DESCRIPTION = "sensor_tower"  # key of config.json
ENCODER, TOWER = "state", "tower"  # parts of the Orbax checkpoint; the first is what Orbax reads where none is named
# Keys of the configuration of a run that say how a window becomes an embedding.
KEYS = {
    *("encoder", "pooling", "variate_pooling", "layer", "include_loc_scale", "encoder_batch_size"),
    *("projection_hidden_dim", "output_dim", "use_amp"),
}


class TowerDescription(BaseModel):
    """What there is to know of an exported tower besides its arrays.

    Attributes:
        step: Steps of training.
        config: The keys of the run's configuration that say how a window becomes an embedding.
        variates: What the rows of a window are, in order.
        sequence_length: Events per window in training.
        vocabulary: {"sensor" | "room": {name: number}}; the series holds the number over the vocabulary's size.
        layout: {room: {sensor: [x, y]}} in the unit square.
        coordinate_bounds: Lowest and highest x and y before scaling to the unit square, where they were scaled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    step: int
    config: dict[str, Any]
    variates: list[str]
    sequence_length: int
    vocabulary: dict[str, dict[str, int]]
    layout: dict[str, dict[str, tuple[float, float]]]
    coordinate_bounds: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class SensorTower:
    """From windows of sensor events to the space that they share with texts."""

    description: TowerDescription
    encoder: FrozenEncoder
    head: ProjectionHead
    standardisation: Standardisation

    def embed(self, series_BxVxT: Float[np.ndarray, "b v t"]) -> Float[np.ndarray, "b d"]:
        """Windows → unit embeddings (B, output_dim).

        Args:
            series_BxVxT: At least one window; the variates of the training data in their units and order (see
                `description`), any number of events, NaN where missing (as the padding before the first event is).

        Raises:
            ValueError: No window, or not the variates that the tower was trained on.
        """
        windows, variates, _ = series_BxVxT.shape
        if not windows or variates != len(self.description.variates):
            raise ValueError(
                f"expected windows of shape (windows, {len(self.description.variates)}, events), with the variates "
                f"{', '.join(self.description.variates)}; found {series_BxVxT.shape}"
            )
        features_BxF = self.encoder(series_BxVxT.astype(np.float32, copy=False))
        return np.asarray(_embed(self.head, self.standardisation, jnp.asarray(features_BxF)))


def export_run(run_dir: Path, output: Path) -> Path:
    """Writes the sensor tower of a run, by its checkpoint of lowest validation loss.

    Args:
        run_dir: Folder of the run.
        output: The folder to make; it appears when it is complete.

    Raises:
        FileNotFoundError: There is no run, it has no checkpoint, or its data are gone.
        ValueError: `output` is there already, or the encoder is not the one that the run was trained with.
    """
    check_destination(output)
    run = load_run(run_dir)
    train_split, _ = open_splits(run.config)
    inputs = {"train": train_split.fingerprint, "encoder": run.encoder.identity}
    record_start(run.config, inputs, run.text_inputs)  # on a run that is there, this compares
    header = train_split.header
    description = TowerDescription(
        step=run.step,
        config=run.config.model_dump(mode="json", include=KEYS),
        **{
            name: getattr(header, name)
            for name in ("variates", "sequence_length", "vocabulary", "layout", "coordinate_bounds")
        },
    )
    config: dict[str, Any] = {DESCRIPTION: description.model_dump(mode="json")}
    head = nnx.to_pure_dict(nnx.state(run.model.sensor, nnx.Param))
    parts: dict[str, Any] = {TOWER: {"head": head, "standardisation": run.standardisation._asdict()}}
    if run.config.encoder == "chronos2":
        pipeline = Chronos2Pipeline.from_pretrained(
            run.config.chronos_model_name, dtype="bfloat16" if run.config.use_amp else "float32"
        )
        config |= pipeline.config.to_dict()
        parts[ENCODER] = pipeline.params
    with destination(output, config) as beside:
        # On the host, so that the tower can be read on other devices than those it was written from.
        ocp.save_checkpointables(beside / PARAMS, jax.tree.map(np.asarray, parts))
    return output


def load_sensor_tower(folder: Path | str) -> SensorTower:
    """Reads what `export_run` wrote; needs nothing of the run.

    Raises:
        FileNotFoundError: There is no exported tower.
        ValueError: It is damaged or of another version.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}: expected a folder made by `python -m train.export`")
    try:
        description = TowerDescription.model_validate(json.loads((folder / CONFIG).read_text())[DESCRIPTION])
    except KeyError:
        raise ValueError(
            f"{folder} is a checkpoint without a head: expected a folder made by `python -m train.export`"
        ) from None
    except (json.JSONDecodeError, ValidationError) as error:
        raise ValueError(
            f"{folder / CONFIG} is damaged or of another version, export the run again: {error}"
        ) from error
    config = make_config(description.config | {"chronos_model_name": str(folder)}, source=str(folder / CONFIG))
    try:
        arrays: Any = ocp.load((folder / PARAMS).absolute(), checkpointable_name=TOWER)
    except Exception as error:  # Orbax and TensorStore raise what they come across
        raise ValueError(f"{folder / PARAMS} is damaged, export the run again: {error}") from error
    standardisation = Standardisation(**arrays["standardisation"])
    head = ProjectionHead(
        len(standardisation.mean_F),
        config.projection_hidden_dim,
        config.output_dim,
        dropout=0.0,
        dtype=jnp.bfloat16 if config.use_amp else jnp.float32,
        rngs=nnx.Rngs(0),
    )
    nnx.update(head, nnx.State(arrays["head"]))
    return SensorTower(description, load_encoder(config), head, standardisation)


@jax.jit
def _embed(head: ProjectionHead, standardisation: Standardisation, features_BxF: jax.Array) -> jax.Array:
    return unit(head(standardisation(features_BxF), None))


@dataclass(frozen=True)
class ExportOptions:
    """Write the trained sensor tower (encoder, head, constants) as one Orbax checkpoint, to embed new windows with."""

    run: Path
    """Folder of the run (its output_dir)."""
    output: Path
    """The folder to make."""


def main() -> None:
    """Runs the command; what is wrong is said in one line, with exit code 1."""
    options = tyro.cli(ExportOptions, prog="python -m train.export", use_underscores=True)
    with plain_words():
        export_run(options.run, options.output)
    print(f"wrote {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
