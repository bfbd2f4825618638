"""The two programs of a run, lowered from shapes alone: one pass of the frozen encoder, one step of training."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import PyTree

from chronos_jax.checkpoints.destination import CONFIG
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.sources import load_config, read_json, resolve
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2 import embedding
from chronos_jax.chronos2.batching import batches, joint_groups
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.random_weights import parse_random_name
from chronos_jax.chronos2.runner import Structure, abstract_model, tokens_at_once
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.patching import num_patches
from chronos_jax.sharding import batch_shards, make_mesh, named_sharding
from train.config import TrainConfig
from train.data import captions_of
from train.encoder import local_mesh
from train.flops import encoder_flops, training_flops
from train.input import Batch
from train.optimizer import learning_rate_schedule, make_optimizer
from train.run import make_model, text_inputs_of
from train.smarthome.records import open_split
from train.smarthome.series import VARIATES
from train.smarthome.statistics import statistics_features
from train.smarthome.windows import WindowOptions
from train.step import abstract_state, loss_implementation, make_train_step
from train.text import BAG_OF_WORDS, WordVocabulary
from train.text_encoder import TextInputs

ASSUMED_WORDS = 1000
ASSUMED_CAPTION_WORDS = 32


class Program(NamedTuple):
    """A program to compile.

    Attributes:
        name: What it does.
        lowered: Ready for the compiler.
        windows_per_chip: Windows that a chip holds; those that share the axis "tensor" hold the same.
        chips: How many run it.
        model_flops: What the model needs for it, over all chips (`train.flops`).
        parts: What its arguments are, by name, as shapes that know where they lie.
        loss: Form of the loss that was chosen; empty where there is none.
    """

    name: str
    lowered: jax.stages.Lowered
    windows_per_chip: int
    chips: int
    model_flops: int
    parts: dict[str, PyTree]
    loss: str = ""


@dataclass(frozen=True)
class DataShapes:
    """Sizes that the data decide.

    Attributes:
        variates, length: Of a window.
        text_inputs: What captions become.
        captions: The most captions that a window has.
        assumptions: What is assumed of data that are not there, in words.
    """

    variates: int
    length: int
    text_inputs: TextInputs
    captions: int
    assumptions: tuple[str, ...]

    @classmethod
    def of(cls, config: TrainConfig) -> "DataShapes":
        """From the training data where the configuration names them; else stated assumptions.

        Raises:
            FileNotFoundError, ValueError: As `train.data` does.
        """
        if config.train_data_path is not None:
            split = open_split(config.train_data_path, "train", config.vocab_path, config.sequence_length)
            captions = captions_of(split, config)
            most = max(len(set(texts)) for texts in captions)
            header = split.header
            texts = text_inputs_of(config, captions)
            return cls(len(header.variates), header.sequence_length, texts, most, ())
        length, assumptions = config.sequence_length, []
        if length is None:
            length = WindowOptions().length
            assumptions.append(f"windows of {length} events")
        assumptions.append(f"{config.max_captions} captions per window")
        text_inputs: TextInputs
        if config.text_model_name == BAG_OF_WORDS:
            text_inputs = WordVocabulary(tuple(map(str, range(ASSUMED_WORDS))), ASSUMED_CAPTION_WORDS)
            assumptions.append(f"{ASSUMED_WORDS:,} different words, at most {ASSUMED_CAPTION_WORDS} in a caption")
        else:
            text_inputs = text_inputs_of(config, [])
        return cls(len(VARIATES), length, text_inputs, config.max_captions, tuple(assumptions))


def encoder_config(name: str) -> Chronos2Config:
    """Sizes of the encoder of this name, without its weights: of a hub repository only config.json is fetched.

    Raises:
        CheckpointError, ValueError: As `Chronos2Pipeline.from_pretrained` does.
    """
    if random := parse_random_name(name):
        return random[0]
    if Path(name).expanduser().exists():
        return Chronos2Config.from_dict(load_config(resolve(name)))
    import huggingface_hub
    from huggingface_hub import errors

    try:
        path = huggingface_hub.hf_hub_download(name, CONFIG)
    except (errors.HFValidationError, errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{name!r} is no existing folder, and {CONFIG} of a hub repository of that name cannot be fetched: {error}"
        ) from error
    return Chronos2Config.from_dict(read_json(Path(path)))


def num_features(config: TrainConfig, data: DataShapes) -> int:
    """Width of what the frozen encoder makes of a window."""
    if config.encoder == "statistics":
        return statistics_features(np.zeros((1, data.variates, data.length), np.float32)).shape[1]
    width = encoder_config(config.chronos_model_name).d_model
    pooled = width if config.variate_pooling == "mean" else width * data.variates
    return pooled + (2 * data.variates if config.include_loc_scale else 0)


def extraction(config: TrainConfig, data: DataShapes, mesh: Mesh) -> Program:
    """A batch of the frozen encoder, as the pipeline cuts `encoder_batch_size` windows for these devices.

    Each process encodes on its own devices. The compiler wants all chips of a slice, so the program is that of all
    processes side by side, which is the same on each chip.
    """
    local = local_mesh(mesh)
    processes = mesh.devices.size // local.devices.size
    mesh = make_mesh(dict(local.shape) | {"data": -1}, list(mesh.devices.flat))
    sizes = encoder_config(config.chronos_model_name)
    dtype = jnp.bfloat16 if config.use_amp else jnp.float32
    shards, device = batch_shards(local), mesh.devices.flat[0]
    graphdef, state = nnx.split(abstract_model(sizes, dtype, mesh, device))
    shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in weight_table(sizes))
    shapes = jax.tree.map(_shape, nnx.to_pure_dict(state), shardings)

    window = Task(np.zeros((data.variates, data.length), np.float32), data.variates, np.zeros((0, 0), np.float32))
    tasks = [window] * config.encoder_batch_size
    series = data.variates * config.encoder_batch_size
    batch = next(
        batches(
            tasks,
            joint_groups(tasks, series, cross_learning=False, group_ids=None),
            sizes.patch_size,
            series,
            max_patches=num_patches(sizes.context_length, sizes.patch_size),
            appended_patches=int(sizes.use_reg_token) + 1,
            tokens_per_batch=tokens_at_once(device.platform, shards),
            shards=shards,
        )
    )
    arrays = batch.context_GxVxT, batch.variate_mask_GxV, batch.target_mask_GxV
    split = named_sharding(mesh, ("batch",))
    inputs = [jax.ShapeDtypeStruct((processes * len(x), *x.shape[1:]), x.dtype, sharding=split) for x in arrays]
    pool_variates = config.variate_pooling == "mean"
    lowered = embedding._encode.lower(config.layer, config.pooling, pool_variates, Structure(graphdef), shapes, *inputs)
    windows = inputs[0].shape[0]
    flops = encoder_flops(sizes, windows, data.variates, data.length, config.layer)
    parts = {"parameters": shapes, "batch": inputs}
    return Program("feature extraction", lowered, windows // batch_shards(mesh), mesh.devices.size, flops, parts)


def training_step(config: TrainConfig, data: DataShapes, mesh: Mesh) -> Program:
    """One step of training with batches of `batch_size` windows.

    Raises:
        ValueError: The batch cannot be split over the mesh, or losses cannot be made for it.
    """
    shards = batch_shards(mesh)
    if config.batch_size % shards:
        raise ValueError(
            f"batch_size {config.batch_size} is not a multiple of the {shards} parts that the mesh splits a batch into"
        )
    features = num_features(config, data)
    model = nnx.eval_shape(lambda: make_model(config, features, data.text_inputs))
    schedule = learning_rate_schedule(config.learning_rate, config.warmup_ratio, config.max_steps or 1000)
    optimizer = make_optimizer(
        schedule, betas=config.betas, weight_decay=config.weight_decay, grad_clip_norm=config.grad_clip_norm
    )
    state = abstract_state(model, features, optimizer, config, mesh)
    rows, text = config.batch_size, data.text_inputs([])

    def split(shape: tuple[int, ...], dtype: np.dtype | type) -> jax.ShapeDtypeStruct:
        axes = ("batch", *(None,) * (len(shape) - 1))
        return jax.ShapeDtypeStruct(shape, dtype, sharding=named_sharding(mesh, axes))

    batch = Batch(
        split((rows, features), np.float32),  # type: ignore[arg-type]
        split((rows, text.shape[1]), text.dtype),  # type: ignore[arg-type]
        split((rows,), np.int32),  # type: ignore[arg-type]
        split((rows, data.captions), np.int32),  # type: ignore[arg-type]
    )
    stop = split((shards,), np.int32)
    step = cast(jax.stages.Wrapped, make_train_step(model, optimizer, schedule, config, state))
    flops = training_flops(state.params, rows, 0 if state.memory is None else len(state.memory.text_ids_M))
    parts = {
        "parameters": state.params,
        "optimiser": state.opt_state,
        "other state": (state.step, state.standardisation, state.memory, state.key),
        "batch": (batch, stop),
    }
    form = loss_implementation(config, mesh)
    lowered = step.lower(state, batch, stop)
    return Program("training step", lowered, rows // shards, mesh.devices.size, flops, parts, form)


def _shape(array: jax.ShapeDtypeStruct | np.ndarray, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)
