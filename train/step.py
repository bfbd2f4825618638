"""One step of training: everything that happens on the devices between a batch and its metrics."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

from chronos_jax.sharding import named_sharding
from train.chips import chip_of
from train.config import TrainConfig
from train.input import Batch
from train.losses import Contrast, Implementation, Loss, Matches, choose_implementation, make_loss
from train.negatives import Memory, draw_negatives, empty_memory, remember
from train.towers import MAX_LOGIT_SCALE, AlignmentModel, logical_axes

UNKNOWN_MEMORY = 8 * 2**30  # bytes that a device is taken to have where its kind is not known, such as a CPU

Metrics = dict[str, Shaped[Array, ""]]
Stop = Int[Array, " shards"]


class Standardisation(NamedTuple):
    """Mean and deviation of each feature over the training split.

    Features of different origin (layers of the encoder, levels, spreads) differ in size by orders of magnitude; a head
    with one learning rate learns from the small ones only after this. The constants are part of the sensor tower.
    """

    mean_F: Float[Array | np.ndarray, " f"]
    deviation_F: Float[Array | np.ndarray, " f"]

    @classmethod
    def of(cls, mean_F: Float[np.ndarray, " f"], deviation_F: Float[np.ndarray, " f"]) -> "Standardisation":
        """The constants of a split. The deviation is made at least 1e-3, so that constant features stay small."""
        return cls(mean_F.astype(np.float32), np.sqrt(np.square(deviation_F) + 1e-6).astype(np.float32))

    def __call__(self, features_BxF: Float[Array, "b f"]) -> Float[Array, "b f"]:
        """Features with mean 0 and deviation 1 on the training split."""
        return (features_BxF - self.mean_F[None, :]) / self.deviation_F[None, :]


class TrainState(NamedTuple):
    """Everything that a run needs to go on, but for the position in the data."""

    step: Int[Array, ""]
    params: PyTree  # of AlignmentModel, as nested dictionaries
    standardisation: Standardisation
    opt_state: PyTree
    memory: Memory | None  # of hard negatives, where they are used
    key: Key[Array, ""]  # dropout and draws of step i use fold_in(key, i)


class NotFinite(NamedTuple):
    """What to look at when a loss is not a number: where values were finite."""

    loss: Bool[Array, ""]
    features: Bool[Array, ""]
    parameters: PyTree
    gradients: PyTree


TrainStep = Callable[[TrainState, Batch, Stop], tuple[TrainState, Metrics, NotFinite]]
ValidationStep = Callable[[TrainState, Batch, Stop], Metrics]


def abstract_state(
    model: AlignmentModel,
    features: int,
    optimizer: optax.GradientTransformation,
    config: TrainConfig,
    mesh: Mesh,
) -> TrainState:
    """Shapes, types and places of the state: parameters and moments by their logical axes, the rest on every device.

    Args:
        model: Its parameters may be abstract, too (nnx.eval_shape).
        features: Width of the encoder's output.
        optimizer: Of the parameters.
        config: Of the run.
        mesh: Its devices may be absent (a topology to compile for).
    """
    variables = nnx.state(model, nnx.Param)
    shardings = nnx.to_pure_dict(
        jax.tree.map(
            lambda variable: named_sharding(mesh, logical_axes(variable)),
            variables,
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )
    )
    everywhere = named_sharding(mesh)
    width = jax.ShapeDtypeStruct((features,), jnp.float32)
    state = jax.eval_shape(
        lambda params, standardisation: _first_state(params, standardisation, optimizer, config),
        nnx.to_pure_dict(variables),
        Standardisation(width, width),  # type: ignore[arg-type]
    )
    opt_shardings = optax.tree.map_params(
        optimizer, lambda _, sharding: sharding, state.opt_state, shardings, transform_non_params=lambda _: everywhere
    )
    layout = jax.tree.map(lambda _: everywhere, state)._replace(params=shardings, opt_state=opt_shardings)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state, layout
    )


def init_state(
    model: AlignmentModel,
    standardisation: Standardisation,
    optimizer: optax.GradientTransformation,
    config: TrainConfig,
    mesh: Mesh,
) -> TrainState:
    """The state before the first step, laid out as `abstract_state` says; its bits are the same on every mesh.

    Every process computes all of it and keeps the parts of its own devices.
    """
    layout = abstract_state(model, len(standardisation.mean_F), optimizer, config, mesh)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))

    @jax.jit
    def first_state(params: PyTree, standardisation: Standardisation) -> TrainState:
        return _first_state(params, standardisation, optimizer, config)

    state = first_state(params, standardisation)
    return jax.tree.map(_place, state, layout)


def _first_state(
    params: PyTree, standardisation: Standardisation, optimizer: optax.GradientTransformation, config: TrainConfig
) -> TrainState:
    memory = empty_memory(config.hard_negative_memory_size, config.output_dim) if config.use_hard_negatives else None
    step, key = jnp.zeros((), jnp.int32), jax.random.key(config.seed)
    return TrainState(step, params, standardisation, optimizer.init(params), memory, key)


def _place(value: Any, target: jax.ShapeDtypeStruct) -> Array:
    if jnp.issubdtype(target.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_place(jax.random.key_data(value), _raw(target)))
    host = np.array(value)  # a copy: the first step gives its buffers away, and the model keeps its own
    return jax.make_array_from_callback(target.shape, target.sharding, lambda index: host[index])


def _raw(key: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jax.eval_shape(jax.random.key_data, key).shape, np.uint32, sharding=key.sharding)


def make_train_step(
    model: AlignmentModel,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    config: TrainConfig,
    layout: TrainState,
) -> TrainStep:
    """One jitted function (state, batch, stop) → (state, metrics, where values were finite).

    The state given is used up; the next one lies on the devices as `layout` (a state, or an abstract one) says. `stop`
    has one number for each part that the batch is split into (`batch_shards`): not 0 where a process wants to end.
    Their sum is a metric, so that all processes learn of it with the same step.

    Metrics: stop; loss; accuracy from window to text and back within the batch; temperature and bias; learning rate;
    global norms of gradients (before clipping), of the update and of the parameters.
    """
    graphdef = nnx.graphdef(model)
    mesh: Mesh = cast(Any, layout.step.sharding).mesh
    contrast = loss_function(config, mesh)

    def train_step(state: TrainState, batch: Batch, stop: Stop) -> tuple[TrainState, Metrics, NotFinite]:
        sensor_key, text_key, draw_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        fitting = matches(batch, config.multi_positive)

        def objective(params: PyTree) -> tuple[Array, tuple[Contrast, Array]]:
            model = nnx.merge(graphdef, nnx.State(params))
            sensor_BxD = model.embed_sensor(state.standardisation(batch.features_BxF), sensor_key)
            text_BxD = model.embed_text(batch.text_inputs_BxK, text_key)
            scale = model.logit_scale()
            if not config.learnable_temperature:
                scale = jax.lax.stop_gradient(scale)
            negatives = None
            if state.memory is not None:
                negatives = draw_negatives(
                    state.memory,
                    sensor_BxD,
                    batch.own_texts_BxC if config.multi_positive else batch.text_ids_B[:, None],
                    draw_key,
                    count=config.hard_negative_count,
                    strategy=config.hard_negative_strategy,
                    temperature=config.hard_negative_temperature,
                )
            told_apart = contrast(sensor_BxD, text_BxD, scale, model.bias[...], fitting, negatives)
            return told_apart.loss, (told_apart, text_BxD)

        (loss, (told_apart, text_BxD)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        params["log_scale"] = jnp.minimum(params["log_scale"], np.log(MAX_LOGIT_SCALE))
        memory = None if state.memory is None else remember(state.memory, text_BxD, batch.text_ids_B)
        metrics = {
            "stop": stop.sum(),
            "loss": loss,
            "accuracy_window_to_text": told_apart.accuracy_window_to_text,
            "accuracy_text_to_window": told_apart.accuracy_text_to_window,
            "temperature": jnp.exp(-params["log_scale"]),
            "logit_bias": params["bias"],
            "learning_rate": jnp.asarray(schedule(state.step)),
            "grad_norm": optax.tree.norm(grads),
            "update_norm": optax.tree.norm(updates),
            "param_norm": optax.tree.norm(params),
        }
        finite = NotFinite(
            jnp.isfinite(loss),
            _finite(batch.features_BxF),
            finite_leaves(state.params),
            finite_leaves(grads),
        )
        state = TrainState(state.step + 1, params, state.standardisation, opt_state, memory, state.key)
        return state, metrics, finite

    places = jax.tree.map(lambda leaf: leaf.sharding, layout)
    everywhere = named_sharding(mesh)
    return jax.jit(train_step, donate_argnums=0, out_shardings=(places, everywhere, everywhere))


def make_validation_step(model: AlignmentModel, config: TrainConfig, mesh: Mesh) -> ValidationStep:
    """One jitted function (state, batch, stop) → stop, loss and accuracies, without dropout and hard negatives."""
    graphdef = nnx.graphdef(model)
    contrast = loss_function(config, mesh)

    @partial(jax.jit, out_shardings=named_sharding(mesh))
    def validation_step(state: TrainState, batch: Batch, stop: Stop) -> Metrics:
        model = nnx.merge(graphdef, nnx.State(state.params))
        sensor_BxD = model.embed_sensor(state.standardisation(batch.features_BxF))
        text_BxD = model.embed_text(batch.text_inputs_BxK)
        fitting = matches(batch, config.multi_positive)
        told_apart = contrast(sensor_BxD, text_BxD, model.logit_scale(), model.bias[...], fitting)
        return {"stop": stop.sum(), **told_apart._asdict()}

    return validation_step


def loss_function(config: TrainConfig, mesh: Mesh) -> Loss:
    """The loss that the configuration names, in the form that it names or that suits batch and mesh."""
    return make_loss(config.loss, loss_implementation(config, mesh), mesh, gamma=config.focal_gamma)


def loss_implementation(config: TrainConfig, mesh: Mesh) -> Implementation:
    """The form of the loss that the configuration names; for "auto" by the memory of the mesh's chips."""
    if config.loss_implementation != "auto":
        return config.loss_implementation
    # Not what the devices themselves tell: that may differ between processes, which must choose the same.
    chip = chip_of(mesh.devices.flat[0].device_kind)
    memory = UNKNOWN_MEMORY if chip is None else chip.memory
    return choose_implementation(config.loss, config.batch_size, config.output_dim, mesh, memory)


def matches(batch: Batch, multi_positive: bool) -> Matches:
    """Which text of a batch fits which window.

    With `multi_positive` the text drawn for a window fits every window that has it among its captions, also where
    another one was drawn for it; else only that window, and equal captions are each other's negatives.
    """
    if multi_positive:
        return Matches(batch.own_texts_BxC, batch.text_ids_B)
    numbers_B = jnp.arange(len(batch.text_ids_B))
    return Matches(numbers_B[:, None], numbers_B)


@jax.jit
def finite_leaves(tree: PyTree) -> PyTree:
    """Of each leaf, whether all its values are finite."""
    return jax.tree.map(_finite, tree)


def _finite(values: Any) -> Bool[Array, ""]:
    return jnp.isfinite(values).all()
