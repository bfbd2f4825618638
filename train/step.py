"""One step of training: everything that happens on the devices between a batch and its metrics."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from chronos_jax.sharding import named_sharding
from train import losses
from train.config import TrainConfig
from train.input import Batch
from train.negatives import Memory, draw_negatives, empty_memory, remember
from train.towers import MAX_LOGIT_SCALE, AlignmentModel, logical_axes

Metrics = dict[str, Float[Array, ""]]


class Standardisation(NamedTuple):
    """Mean and deviation of each feature over the training split.

    Features of different origin (layers of the encoder, levels, spreads) differ in size by orders of magnitude; a head
    with one learning rate learns from the small ones only after this. The constants are part of the sensor tower.
    """

    mean_F: Float[Array | np.ndarray, " f"]
    deviation_F: Float[Array | np.ndarray, " f"]

    @classmethod
    def of(cls, features_NxF: Float[np.ndarray, "n f"]) -> "Standardisation":
        """The constants of a split. The deviation is at least 1e-3, so that features that are constant stay small."""
        mean_F = features_NxF.mean(axis=0, dtype=np.float64)
        variance_F = np.square(features_NxF - mean_F).mean(axis=0)
        return cls(mean_F.astype(np.float32), np.sqrt(variance_F + 1e-6).astype(np.float32))

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


TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics, NotFinite]]
ValidationStep = Callable[[TrainState, Batch], Metrics]


def init_state(
    model: AlignmentModel,
    standardisation: Standardisation,
    optimizer: optax.GradientTransformation,
    config: TrainConfig,
    mesh: Mesh,
) -> TrainState:
    """The state before the first step, laid out on the mesh: parameters by their logical axes, the rest copied."""
    variables = nnx.state(model, nnx.Param)
    params = nnx.to_pure_dict(variables)
    shardings = nnx.to_pure_dict(
        jax.tree.map(
            lambda variable: named_sharding(mesh, logical_axes(variable)),
            variables,
            is_leaf=lambda node: isinstance(node, nnx.Variable),
        )
    )
    everywhere = named_sharding(mesh)
    opt_state = optimizer.init(params)
    opt_shardings = optax.tree.map_params(
        optimizer, lambda _, sharding: sharding, opt_state, shardings, transform_non_params=lambda _: everywhere
    )
    memory = empty_memory(config.hard_negative_memory_size, config.output_dim) if config.use_hard_negatives else None
    state = TrainState(
        jnp.zeros((), jnp.int32), params, standardisation, opt_state, memory, jax.random.key(config.seed)
    )
    layout: TrainState = jax.tree.map(lambda _: everywhere, state)._replace(params=shardings, opt_state=opt_shardings)
    # A copy: the first step gives its buffers away, and the model given here keeps its own.
    return jax.device_put(state, layout, may_alias=False)


def make_train_step(
    model: AlignmentModel,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    config: TrainConfig,
    state: TrainState,
) -> TrainStep:
    """One jitted function (state, batch) → (state, metrics, where values were finite); the state given is used up.

    The next state lies on the devices as `state` does.

    Metrics: loss; accuracy from window to text and back within the batch; temperature and bias; learning rate; global
    norms of gradients (before clipping), of the update and of the parameters.
    """
    graphdef = nnx.graphdef(model)
    contrast = loss_function(config)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics, NotFinite]:
        sensor_key, text_key, draw_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
        positives_BxB = positives(batch, config.multi_positive)

        def objective(params: PyTree) -> tuple[Array, tuple[Array, Array]]:
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
            loss = contrast(sensor_BxD, text_BxD, scale, model.bias[...], positives_BxB, negatives)
            return loss, (sensor_BxD, text_BxD)

        (loss, (sensor_BxD, text_BxD)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        params["log_scale"] = jnp.minimum(params["log_scale"], np.log(MAX_LOGIT_SCALE))
        memory = None if state.memory is None else remember(state.memory, text_BxD, batch.text_ids_B)
        to_text, to_window = losses.accuracy(sensor_BxD, text_BxD, positives_BxB)
        metrics = {
            "loss": loss,
            "accuracy_window_to_text": to_text,
            "accuracy_text_to_window": to_window,
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

    layout = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(train_step, donate_argnums=0, out_shardings=(layout, None, None))


def make_validation_step(model: AlignmentModel, config: TrainConfig) -> ValidationStep:
    """One jitted function (state, batch) → loss and accuracies, without dropout and without hard negatives."""
    graphdef = nnx.graphdef(model)
    contrast = loss_function(config)

    @jax.jit
    def validation_step(state: TrainState, batch: Batch) -> Metrics:
        model = nnx.merge(graphdef, nnx.State(state.params))
        sensor_BxD = model.embed_sensor(state.standardisation(batch.features_BxF))
        text_BxD = model.embed_text(batch.text_inputs_BxK)
        positives_BxB = positives(batch, config.multi_positive)
        to_text, to_window = losses.accuracy(sensor_BxD, text_BxD, positives_BxB)
        return {
            "loss": contrast(sensor_BxD, text_BxD, model.logit_scale(), model.bias[...], positives_BxB),
            "accuracy_window_to_text": to_text,
            "accuracy_text_to_window": to_window,
        }

    return validation_step


def loss_function(config: TrainConfig) -> losses.Loss:
    """The loss that the configuration names."""
    if config.loss == "focal_sigmoid":
        return partial(losses.focal_sigmoid, gamma=config.focal_gamma)
    return {"infonce": losses.info_nce, "sigmoid": losses.sigmoid}[config.loss]


def positives(batch: Batch, multi_positive: bool) -> Bool[Array, "b b"]:
    """Whether the text drawn for window j (column) fits window i (row).

    With `multi_positive` it fits every window that has this text among its captions, also where another one was drawn
    for it; else only window j, and equal captions are each other's negatives.
    """
    if not multi_positive:
        return jnp.eye(len(batch.text_ids_B), dtype=bool)
    return (batch.own_texts_BxC[:, :, None] == batch.text_ids_B[None, None, :]).any(axis=1)


@jax.jit
def finite_leaves(tree: PyTree) -> PyTree:
    """Of each leaf, whether all its values are finite."""
    return jax.tree.map(_finite, tree)


def _finite(values: Any) -> Bool[Array, ""]:
    return jnp.isfinite(values).all()
