"""`Chronos2Pipeline`: pretrained Chronos-2 for arrays and tables of any form (reference: chronos.chronos2.pipeline)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from chronos_jax.chronos2.batching import joint_groups
from chronos_jax.chronos2.embedding import attend_tasks, embed_tasks
from chronos_jax.chronos2.encoder import Attentions, blocks_until
from chronos_jax.chronos2.forecasting import Horizon, forecast_tasks
from chronos_jax.chronos2.pooling import Pooling, check_pooling
from chronos_jax.chronos2.pretrained import Pretrained
from chronos_jax.chronos2.tasks import Task, as_tasks, check_values, stack_tasks, warn_if_nothing_observed
from chronos_jax.layers.patching import num_patches
from chronos_jax.quantiles import check_levels, interpolate_quantiles
from chronos_jax.warning import warn

if TYPE_CHECKING:
    from narwhals.typing import IntoDataFrame

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Chronos2Pipeline(Pretrained):
    """A Chronos-2 model and what turns user input into its batches. Arrays returned are NumPy, float32."""

    def predict(
        self,
        inputs: Any,
        prediction_length: int | None = None,
        batch_size: int | None = None,
        context_length: int | None = None,
        cross_learning: bool = False,
        limit_prediction_length: bool = False,
        *,
        group_ids: Any = None,
        max_output_patches: int | None = None,
        unrolled_quantiles: Iterable[float] = DECILES,
        after_batch: Callable[[], object] | None = None,
        progress: bool | None = None,
    ) -> list[Float[np.ndarray, "_ q horizon"]]:
        """Quantile forecasts. An input's never depend on the others, on their order or on `batch_size`, to rounding.

        Unless asked for, by `cross_learning` or `group_ids`. And codes of categories of inputs with several targets are
        numbered over all inputs, as in the reference.

        Args:
            inputs: A 3-d array (inputs, variates, time); a list of 1-d (time) and 2-d (variates, time) arrays of any
                lengths; or a list of dictionaries with `target`, `past_covariates`, `future_covariates`, see
                `chronos_jax.chronos2.tasks.as_tasks`. NaN where missing. The variates of one input see each other.
            prediction_length: Time steps ahead; by default `model_prediction_length`. Beyond that, the model's own
                quantiles are appended to the history, see `chronos_jax.chronos2.forecasting`.
            batch_size: The most series in a batch, counted in variates and covariates; by default as many as the
                devices compute well at once (`chronos_jax.chronos2.runner.TOKENS_AT_ONCE`), and never more. With
                `cross_learning`, inputs are joined, in the order given, until there are so many; by default 256.
            context_length: Time steps of each history to use, the last ones; by default the model's, and at most that.
            cross_learning: All inputs of a batch see each other. The forecast then depends on `batch_size` and order.
            limit_prediction_length: Refuse, rather than warn of, a horizon beyond `model_prediction_length`.
            group_ids: One id, text or a number, for each input; inputs of one id see each other, as if they were one.
            max_output_patches: Patches that one pass forecasts at the most; by default the model's.
            unrolled_quantiles: Which of the model's quantiles are appended to go on beyond one pass.
            after_batch: Called without arguments whenever a batch is done.
            progress: Whether to show a progress bar; by default on a terminal, where there are several batches.

        Returns:
            For each input, an array (targets, quantiles, prediction_length), float32, in the units of the input.

        Raises:
            ValueError, TypeError: Inputs that are empty, infinite, of wrong dimensions or do not fit together, naming
                the input; a horizon, batch size or context length below 1; quantiles that the model does not have.
        """
        _check_batch_size(batch_size)
        length = self._prediction_length(prediction_length, limit_prediction_length)
        horizon = self._horizon(length, max_output_patches, unrolled_quantiles)
        steps = self._context_length(context_length)
        tasks = _cut(as_tasks(inputs, length), steps)
        groups = joint_groups(tasks, batch_size, cross_learning, group_ids)
        warn_if_nothing_observed(tasks)
        return forecast_tasks(self._runner, tasks, groups, horizon, length, batch_size, after_batch, progress)

    def predict_quantiles(
        self,
        inputs: Any,
        prediction_length: int | None = None,
        quantile_levels: Iterable[float] = DECILES,
        **predict_kwargs: Any,
    ) -> tuple[list[Float[np.ndarray, "_ horizon levels"]], list[Float[np.ndarray, "_ horizon"]]]:
        """Forecasts at any quantile levels, and the median.

        Args:
            inputs: As for `predict`.
            prediction_length: As for `predict`.
            quantile_levels: Between 0 and 1, in any order. Levels that the model does not have are interpolated, and
                those beyond its outermost are given the outermost's values, with a warning.
            predict_kwargs: Further arguments of `predict`.

        Returns:
            For each input, an array (targets, prediction_length, levels); and one (targets, prediction_length) with the
            median, which the reference calls mean.

        Raises:
            ValueError, TypeError: As `predict`; levels that are not between 0 and 1.
        """
        levels = list(quantile_levels)
        check_levels(levels)
        forecasts = self.predict(inputs, prediction_length, **predict_kwargs)
        self._warn_of_levels(levels)
        whole_RxQxH = np.concatenate(forecasts)
        ends = np.cumsum([len(x) for x in forecasts]).tolist()
        rows_of_inputs = [slice(start, end) for start, end in pairwise([0, *ends])]
        quantiles_RxHxL, median_RxH = self._at_levels(whole_RxQxH, levels), self._at_levels(whole_RxQxH, [0.5])[..., 0]
        return [quantiles_RxHxL[rows] for rows in rows_of_inputs], [median_RxH[rows] for rows in rows_of_inputs]

    def predict_df(
        self,
        df: "IntoDataFrame",
        future_df: "IntoDataFrame | None" = None,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | list[str] = "target",
        prediction_length: int | None = None,
        quantile_levels: Iterable[float] = DECILES,
        batch_size: int | None = None,
        context_length: int | None = None,
        cross_learning: bool = False,
        validate_inputs: bool = True,
        freq: str | None = None,
        *,
        group_ids: Any = None,
        max_output_patches: int | None = None,
        unrolled_quantiles: Iterable[float] = DECILES,
        after_batch: Callable[[], object] | None = None,
        progress: bool | None = None,
    ) -> Any:
        """Forecasts of the series of a long DataFrame, one row each step.

        Args:
            df: A row for each series and time step: id, timestamp, targets; further columns are covariates, numeric or
                categories. pandas, polars, or another eager frame that narwhals knows; in any order of rows.
            future_df: Covariates that are known ahead: `prediction_length` rows for each series.
            id_column: Whose values, text or numbers, name the series.
            timestamp_column: Timestamps, or text that pandas reads as such; with or without a time zone.
            target: One column, or several that see each other.
            prediction_length: Time steps ahead; by default `model_prediction_length`.
            quantile_levels: As for `predict_quantiles`.
            batch_size: As for `predict`.
            context_length: As for `predict`.
            cross_learning: As for `predict`; series are in order of first appearance.
            validate_inputs: False skips the checks and trusts that rows are sorted by series and time, and that
                `future_df` has the rows of the horizon in the same order.
            freq: Step of time as pandas names it ("h", "D", "MS" …); by default inferred, the same for all series.
            group_ids: As for `predict`, in order of first appearance; or a dictionary of series → id.
            max_output_patches: As for `predict`.
            unrolled_quantiles: As for `predict`.
            after_batch: As for `predict`.
            progress: As for `predict`.

        Returns:
            A frame of the user's kind with the columns id, timestamp, "target_name", "predictions" (the median) and one
            for each quantile level, named by it; series in order of first appearance, then targets, then steps.

        Raises:
            ValueError, TypeError: Whatever is wrong with the frames, naming series and columns; see
                `chronos_jax.frames.reading.read_frame`.
        """
        from chronos_jax.frames.forecast import forecast_frame
        from chronos_jax.frames.reading import read_frame

        levels = list(quantile_levels)
        check_levels(levels)
        _check_batch_size(batch_size)
        length = self._prediction_length(prediction_length, limit=False)
        horizon = self._horizon(length, max_output_patches, unrolled_quantiles)
        steps = self._context_length(context_length)
        targets = target if isinstance(target, list) else [target]
        frame = read_frame(
            df,
            future_df,
            target=targets,
            prediction_length=length,
            id_column=id_column,
            timestamp_column=timestamp_column,
            freq=freq,
            validate=validate_inputs,
            named=list(map(str, levels)),
        )
        ids = frame.ids_N.tolist()
        if isinstance(group_ids, Mapping):
            if absent := [name for name in ids if name not in group_ids]:
                raise ValueError(f"group_ids has no entry for {len(absent)} series, such as {absent[:5]}")
            group_ids = [group_ids[name] for name in ids]
        tasks = stack_tasks(frame.past, frame.future, frame.target_VxR, frame.lengths_N, length, ids)
        check_values(tasks)
        tasks = _cut(tasks, steps)
        groups = joint_groups(tasks, batch_size, cross_learning, group_ids)
        warn_if_nothing_observed(tasks)
        self._warn_of_levels(levels)
        forecasts = forecast_tasks(self._runner, tasks, groups, horizon, length, batch_size, after_batch, progress)
        whole_RxQxH, shape = np.concatenate(forecasts), (len(tasks), len(targets), length)
        median_NxVxH = self._at_levels(whole_RxQxH, [0.5]).reshape(shape)
        quantiles_NxVxHxL = self._at_levels(whole_RxQxH, levels).reshape(*shape, len(levels))
        return forecast_frame(frame, targets, levels, median_NxVxH, quantiles_NxVxHxL)

    def embed(
        self,
        inputs: Any,
        batch_size: int | None = None,
        context_length: int | None = None,
        *,
        pooling: Pooling | None = None,
        layer: int = -1,
        pool_variates: bool = True,
        progress: bool | None = None,
    ) -> Any:
        """Encoder embeddings. An input's never depend on the others, on their order or on `batch_size`.

        Bit for bit, where batches have the same shape. Where shapes differ, products are summed in another order: the
        difference is 1e-6 of the largest value in float32, and the rounding of the type (about 5e-3) in bfloat16.

        Args:
            inputs: As for `predict`, without future covariates. The variates of one input see each other.
            batch_size: The most series in a batch, counted in variates; by default as many as the devices compute well
                at once, and never more.
            context_length: Time steps of each history to use, the last ones; by default the model's, and at most that.
            pooling: None for all positions, or "mean", "max", "reg" or "last"; see `chronos_jax.chronos2.pooling`.
            layer: Whose output: -1 for the encoder's, normed; l for the l-th block's, 0 for what goes into the first.
            pool_variates: Whether pooling runs over targets, too.
            progress: Whether to show a progress bar; by default on a terminal, where there are several batches.

        Returns:
            Without pooling, as the reference: a list of arrays (V, N + 2, d_model) for the V targets and the N context
            patches that the input's own length fills, the REG token and one masked future patch; and a list of
            (loc, scale), each (V, 1). Positions of patches in which nothing is observed mean nothing, but are finite.
            With pooling, an array (inputs, d_model), or, with `pool_variates=False`, a list of arrays (V, d_model).

        Raises:
            ValueError, TypeError: Inputs that are empty, of wrong dimensions, infinite or not numbers; no such pooling
                or layer; a batch size or context length below 1.
        """
        check_pooling(pooling, self.config.use_reg_token)
        blocks_until(layer, self.config.num_layers)
        _check_batch_size(batch_size)
        steps = self._context_length(context_length)
        tasks = _cut(as_tasks(inputs, 0), steps)
        warn_if_nothing_observed(tasks)
        outputs = embed_tasks(self._runner, tasks, batch_size, layer, pooling, pool_variates, progress)
        if pooling is None:
            return [x.hidden_VxSxD for x in outputs], [(x.loc_Vx1, x.scale_Vx1) for x in outputs]
        return np.stack(outputs) if pool_variates else outputs

    def attention_weights(
        self,
        inputs: Any,
        prediction_length: int = 1,
        batch_size: int | None = None,
        context_length: int | None = None,
        *,
        progress: bool | None = None,
    ) -> list[Attentions]:
        """Attention weights of every block while it forecasts, as the reference's model with `output_attentions`.

        Args:
            inputs: As for `predict`.
            prediction_length: Time steps ahead, within one pass of the model.
            batch_size: As for `predict`.
            context_length: As for `predict`.
            progress: As for `predict`.

        Returns:
            For each input, over its V variates (targets, then covariates) and S positions (context patches, REG, future
            patches): `time` (layers, V, heads, S, S), from position to position, and `group` (layers, S, heads, V, V),
            from variate to variate; float32. `chronos_jax.plot_attention` draws them.

        Raises:
            ValueError, TypeError: As `predict`; a horizon beyond one pass.
        """
        length = _at_least_one("prediction_length", prediction_length)
        patches = num_patches(length, self.config.patch_size)
        if patches > self.max_output_patches:
            raise ValueError(
                f"prediction_length {length} is beyond the {self.model_prediction_length} steps of one pass, and only "
                "one pass has attention weights"
            )
        steps = self._context_length(context_length)
        _check_batch_size(batch_size)
        tasks = _cut(as_tasks(inputs, length), steps)
        warn_if_nothing_observed(tasks)
        return attend_tasks(self._runner, tasks, patches, batch_size, progress)

    def _context_length(self, requested: int | None) -> int:
        longest = self.model_context_length
        steps = longest if requested is None else _at_least_one("context_length", requested)
        if steps > longest:
            warn(f"context_length {steps} is beyond the model's {longest}; using {longest}")
        return min(steps, longest)

    def _prediction_length(self, requested: int | None, limit: bool) -> int:
        longest = self.model_prediction_length
        length = longest if requested is None else _at_least_one("prediction_length", requested)
        if length > longest:
            message = f"prediction_length {length} is beyond the {longest} steps for which the model is made"
            if limit:
                raise ValueError(
                    f"{message}; ask for fewer, or, to forecast further, give limit_prediction_length=False"
                )
            warn(f"{message}; the quality of the forecast may degrade")
        return length

    def _horizon(
        self, prediction_length: int, max_output_patches: int | None, unrolled_quantiles: Iterable[float]
    ) -> Horizon:
        patches = num_patches(prediction_length, self.config.patch_size)
        patches_a_pass = self.max_output_patches
        if max_output_patches is not None:
            patches_a_pass = _at_least_one("max_output_patches", max_output_patches)
        # A model without some of the deciles forecasts one pass all the same.
        if patches <= patches_a_pass and unrolled_quantiles is DECILES:
            return Horizon(patches, patches_a_pass, ())
        levels = [float(level) for level in unrolled_quantiles]
        if not levels or not set(levels) <= set(self.quantiles):
            raise ValueError(
                f"unrolled quantiles must be a subset of the model's quantiles, {self.quantiles}; found {levels}"
            )
        return Horizon(patches, patches_a_pass, tuple(self.quantiles.index(level) for level in sorted(set(levels))))

    def _warn_of_levels(self, levels: Sequence[float]) -> None:
        """Warns of levels beyond the model's."""
        lowest, highest = self.quantiles[0], self.quantiles[-1]
        if beyond := [float(level) for level in levels if not lowest <= level <= highest]:
            warn(
                f"quantile levels {beyond} are beyond those of the model, {lowest} … {highest}, and given their values"
            )

    def _at_levels(
        self, forecasts_RxQxH: Float[np.ndarray, "r q horizon"], levels: Sequence[float]
    ) -> Float[np.ndarray, "r horizon levels"]:
        """Forecasts at other quantile levels, which are then the last axis."""
        return np.ascontiguousarray(interpolate_quantiles(levels, self.quantiles, forecasts_RxQxH).swapaxes(1, 2))


def _cut(tasks: list[Task], steps: int) -> list[Task]:
    """Tasks with the last steps of their histories."""
    return [
        task if task.history_VxT.shape[1] <= steps else task._replace(history_VxT=task.history_VxT[:, -steps:])
        for task in tasks
    ]


def _check_batch_size(batch_size: Any) -> None:
    if batch_size is not None:
        _at_least_one("batch_size", batch_size)


def _at_least_one(name: str, value: Any) -> int:
    """The value. Raises ValueError where it is no whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1, found {value!r}")
    return int(value)
