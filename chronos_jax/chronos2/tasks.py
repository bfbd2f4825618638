"""Every accepted form of input as a list of tasks (reference: chronos.chronos2.preprocess)."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from chronos_jax.chronos2.covariates import encode_covariates
from chronos_jax.warning import warn

DICTIONARY_KEYS = ("target", "past_covariates", "future_covariates")

LARGEST = 1e17
"""Beyond this, the squares of a long series sum to more than float32 holds."""

CHECKED_AT_ONCE = 2**20
"""Values that are looked at together, as one array: task by task, short series take ten times as long."""

DATAFRAME = "is a DataFrame: give it to predict_df, or its columns as arrays"


class Task(NamedTuple):
    """One input: the variates that see each other, and which of them are forecast.

    Attributes:
        history_VxT: float32, NaN where missing: targets, then covariates known in the past only, then covariates that
            are known ahead.
        num_targets: How many of the first variates are targets.
        future_KxH: What is known ahead of the last K variates, NaN where unknown; K may be 0.
        name: What messages call it.
    """

    history_VxT: Float[np.ndarray, "v t"]
    num_targets: int
    future_KxH: Float[np.ndarray, "k h"]
    name: str = "the input"


def as_tasks(inputs: Any, prediction_length: int) -> list[Task]:
    """Inputs of any accepted form as tasks. Nothing is modified.

    Args:
        inputs: A 3-d array (inputs, variates, time); a sequence of 1-d (time) and 2-d (variates, time) arrays of any
            lengths; or a sequence of dictionaries of one schema, each with `target` (1-d or 2-d) and, if there are
            covariates, `past_covariates` and `future_covariates`, by name, of the length of the target and of
            `prediction_length`; categories may be text, numbers are taken as they are. NumPy, JAX or PyTorch arrays,
            or nested lists of numbers. Dictionaries as the reference prepares them (`context`, …) are taken, too, and
            tasks as they are.
        prediction_length: Time steps ahead.

    Raises:
        ValueError: No input, a wrong number of dimensions, an empty series, infinite values, or dictionaries that do
            not fit together, naming the input.
        TypeError: Something that is not an array of numbers, or arrays and dictionaries in one list.
    """
    if isinstance(inputs, list) and inputs and all(isinstance(x, Task) for x in inputs):
        check_values(inputs)
        return inputs
    if hasattr(inputs, "columns"):
        raise TypeError(f"inputs {DATAFRAME}")
    if getattr(getattr(inputs, "dtype", None), "kind", "") == "O":  # arrays of different lengths
        inputs = list(inputs)
    if hasattr(inputs, "ndim"):
        array = as_float32(inputs, "inputs")
        if array.ndim != 3:
            raise ValueError(
                f"an array of inputs must have 3 dimensions (inputs, variates, time), found shape {array.shape}; "
                "pass a list for series of one input each"
            )
        tasks = [_only_targets(x, f"input {i}") for i, x in enumerate(array)]
    elif not isinstance(inputs, Sequence) or isinstance(inputs, str | bytes):
        raise TypeError(
            "inputs must be a 3-d array, a list of 1-d and 2-d arrays or a list of dictionaries, found "
            f"{type(inputs).__name__}"
        )
    elif any(isinstance(x, Mapping) for x in inputs):
        found = _from_dictionaries(inputs, prediction_length)
        tasks = [task._replace(name=f"input {i}") for i, task in enumerate(found)]
    else:
        tasks = [_only_targets(_variates_by_time(x, f"input {i}"), f"input {i}") for i, x in enumerate(inputs)]
    if not tasks:
        raise ValueError("inputs is empty; give at least one time series")
    check_values(tasks)
    return tasks


def check_values(tasks: list[Task]) -> None:
    """Raises ValueError for empty series and for values that are infinite or too large, naming the series."""
    for some in _several(tasks):
        values = _joined([x for task in some for x in (task.history_VxT, task.future_KxH)])
        if (np.abs(values) > LARGEST).any() or not all(task.history_VxT.size for task in some):
            for task in some:
                _check_task(task)


def _check_task(task: Task) -> None:
    history, future, name = task.history_VxT, task.future_KxH, task.name
    if not history.size:
        raise ValueError(
            f"{name} has shape {history.shape}; every input needs at least one variate and one time step, "
            "which may be NaN"
        )
    large_V = (np.abs(history) > LARGEST).any(axis=1)
    if large_V.any():
        variate = int(large_V.argmax())
        covariate = variate - task.num_targets
        which = f"variate {variate}" if covariate < 0 else f"covariate {covariate}"
        raise ValueError(f"{name}, {which} holds values that are infinite or beyond {LARGEST:g}; NaN means missing")
    if (np.abs(future) > LARGEST).any():
        raise ValueError(
            f"the future covariates of {name} hold values that are infinite or beyond {LARGEST:g}; NaN means unknown"
        )


def _several(tasks: list[Task]) -> Iterator[list[Task]]:
    """Tasks in their order, about so many values at a time."""
    if not tasks:
        return
    ends_N = np.cumsum([task.history_VxT.size + task.future_KxH.size for task in tasks]) // CHECKED_AT_ONCE
    for part in np.split(np.arange(len(tasks)), np.flatnonzero(np.diff(ends_N)) + 1):
        yield tasks[part[0] : part[-1] + 1]


def _joined(arrays: Iterable[Float[np.ndarray, "_ _"]]) -> Float[np.ndarray, " _"]:
    """All values, one row after another."""
    return np.concatenate([x.reshape(-1) for x in arrays])


def as_float32(array: Any, name: str) -> Float[np.ndarray, "..."]:
    """A NumPy, JAX or PyTorch array, or nested lists of numbers, as float32. Raises TypeError for anything else."""
    try:
        converted = _as_array(array)
        if converted.dtype == np.float32:
            return converted
        if converted.dtype.kind in "SUMmc":
            raise TypeError(f"its type is {converted.dtype}")
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused as that
            return converted.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of numbers, NaN where missing: {error}") from error


def warn_if_nothing_observed(tasks: list[Task]) -> None:
    """Warns of targets in which nothing is observed: what the model says of them means nothing."""
    unseen = []
    for some in _several(tasks):
        targets = [task.history_VxT[: task.num_targets] for task in some]
        lengths_R = np.repeat([x.shape[1] for x in targets], [len(x) for x in targets])
        observed = ~np.isnan(_joined(targets))
        if np.logical_or.reduceat(observed, np.cumsum(lengths_R) - lengths_R).all():
            continue
        for task in some:
            missing_V = np.isnan(task.history_VxT[: task.num_targets]).all(axis=1)
            if missing_V.all():
                unseen.append(task.name)
            else:
                unseen += [f"{task.name} (variate {v})" for v in np.flatnonzero(missing_V)]
    if unseen:
        shown = ", ".join(unseen[:10]) + (f" and {len(unseen) - 10} more" if len(unseen) > 10 else "")
        warn(f"nothing is observed in the target of {shown}: what comes out means nothing")


def _as_array(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):  # PyTorch, recognised without importing it
        array = array.detach().cpu()
        array = array.float().numpy() if array.dtype.is_floating_point else array.numpy()
    if isinstance(array, np.ma.MaskedArray) and array.dtype.kind in "fiub":
        array = np.ma.filled(array.astype(np.float64), np.nan)
    return np.asarray(array)


def _only_targets(history_VxT: Float[np.ndarray, "v t"], name: str) -> Task:
    return Task(history_VxT, history_VxT.shape[0], np.empty((0, 0), np.float32), name)


def _variates_by_time(x: Any, name: str) -> Float[np.ndarray, "v t"]:
    if hasattr(x, "columns"):
        raise TypeError(f"{name} {DATAFRAME}")
    array = as_float32(x, name)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be 1-d (time) or 2-d (variates, time), found shape {array.shape}")
    return array[None, :] if array.ndim == 1 else array


def _from_dictionaries(inputs: Sequence[Any], prediction_length: int) -> list[Task]:
    for i, x in enumerate(inputs):
        if not isinstance(x, Mapping):
            raise TypeError(f"input {i} is no dictionary ({type(x).__name__}) but others are; give one kind of input")
    prepared = ["context" in x for x in inputs]
    if any(prepared) and not all(prepared):
        raise ValueError(
            f"input {prepared.index(not prepared[0])} {'is not' if prepared[0] else 'is'} prepared (with a 'context'), "
            "and input 0 the other way; give one kind of dictionary"
        )
    if prepared[0]:
        return [_from_prepared(x, i) for i, x in enumerate(inputs)]
    targets = [_target(x, i) for i, x in enumerate(inputs)]
    past = [_covariates(x, "past_covariates", i) for i, x in enumerate(inputs)]
    future = [_covariates(x, "future_covariates", i) for i, x in enumerate(inputs)]
    _check_schema(targets, past, future, prediction_length)

    names = sorted(past[0], key=str)
    known = [name for name in names if future[0].get(name) is not None]
    return stack_tasks(
        {name: np.concatenate([x[name] for x in past]) for name in names},
        {name: np.concatenate([x[name] for x in future]) for name in known},
        np.concatenate(targets, axis=1),
        np.array([target.shape[1] for target in targets]),
        prediction_length,
        range(len(targets)),
    )


def stack_tasks(
    past: Mapping[Any, Any],
    future: Mapping[Any, Any],
    target_VxR: Float[np.ndarray, "v r"],
    lengths_N: Int[np.ndarray, " n"],
    prediction_length: int,
    ids: Sequence[Hashable],
) -> list[Task]:
    """Tasks of one schema, from columns that hold one series after another; arguments as for `encode_covariates`.

    The ids name the series.
    """
    past_CxR, future_KxF = encode_covariates(past, future, target_VxR, lengths_N, prediction_length)
    history_VxR = np.concatenate([target_VxR, past_CxR])
    future_KxNxH = future_KxF.reshape(len(future_KxF), len(lengths_N), prediction_length)
    ends = np.cumsum(lengths_N).tolist()
    rows = enumerate(zip(pairwise([0, *ends]), ids, strict=True))
    return [
        Task(history_VxR[:, start:end], len(target_VxR), future_KxNxH[:, n], f"series {name!r}")
        for n, ((start, end), name) in rows
    ]


def _from_prepared(x: Mapping[str, Any], index: int) -> Task:
    """A dictionary as chronos.chronos2.preprocess makes it: covariates encoded, those known ahead last."""
    try:
        history, future = (as_float32(x[key], f"{key} of input {index}") for key in ("context", "future_covariates"))
        num_targets, known = int(x["n_targets"]), int(x["n_future_covariates"])
    except KeyError as error:
        raise TypeError(f"input {index} has a 'context' but lacks {error} that prepared inputs have") from error
    if history.ndim != 2 or future.ndim != 2 or len(history) != len(future) or num_targets + known > len(history):
        raise ValueError(
            f"input {index}: context {history.shape}, future_covariates {future.shape}, n_targets {num_targets} and "
            f"n_future_covariates {known} do not fit together; rows are targets, then covariates"
        )
    return Task(history, num_targets, future[len(future) - known :])


def _target(x: Mapping[str, Any], index: int) -> Float[np.ndarray, "v t"]:
    if unknown := [key for key in x if key not in DICTIONARY_KEYS]:
        raise ValueError(f"input {index} has the invalid keys {unknown}; a dictionary has {list(DICTIONARY_KEYS)}")
    if "target" not in x:
        raise ValueError(f"input {index} does not contain the required key 'target'; it has {list(x)}")
    return _variates_by_time(x["target"], f"the target of input {index}")


def _covariates(x: Mapping[str, Any], key: str, index: int) -> dict[Any, Any]:
    """Covariates by name as arrays; None where a covariate known ahead has no values yet."""
    covariates = x.get(key)
    if covariates is None:
        return {}
    if not isinstance(covariates, Mapping):
        raise TypeError(
            f"{key} of input {index} must be a dictionary of name → 1-d array, found {type(covariates).__name__}"
        )
    unavailable = {name for name, values in covariates.items() if values is None or np.shape(values)[:1] == (0,)}
    if key == "past_covariates" and any(covariates[name] is None for name in unavailable):
        raise ValueError(f"past_covariates of input {index} has no values for {list(unavailable)}; leave them out")
    future = key == "future_covariates"
    return {name: None if future and name in unavailable else _as_array(values) for name, values in covariates.items()}


def _check_schema(
    targets: list[Float[np.ndarray, "_ _"]],
    past: list[dict[Any, Any]],
    future: list[dict[Any, Any]],
    prediction_length: int,
) -> None:
    """Raises ValueError where dictionaries are not of one schema, or lengths do not fit."""
    if unknown := [name for name in future[0] if name not in past[0]]:
        raise ValueError(
            f"future_covariates must be a subset of past_covariates, whose names are {list(past[0])}; "
            f"{unknown} have no past values"
        )
    for i, (target, before, ahead) in enumerate(zip(targets, past, future, strict=True)):
        length = target.shape[1]
        if target.shape[0] != targets[0].shape[0]:
            raise ValueError(
                f"the target of input {i} has {target.shape[0]} variates, that of input 0 has {targets[0].shape[0]}; "
                "dictionaries must be of one schema: call once a schema"
            )
        for key, found, first in (("past_covariates", before, past[0]), ("future_covariates", ahead, future[0])):
            if set(found) != set(first):
                raise ValueError(
                    f"{key} of input {i} are {list(found)}, those of input 0 are {list(first)}; "
                    "dictionaries must be of one schema: call once a schema"
                )
        for name, values in before.items():
            if values.shape != (length,):
                raise ValueError(
                    f"past_covariates {name!r} of input {i} must be 1-d with the length of the target ({length}), "
                    f"found shape {values.shape}"
                )
        for name, values in ahead.items():
            if (values is None) != (future[0][name] is None):
                raise ValueError(f"future_covariates {name!r} has values in some inputs but not in others (input {i})")
            if values is not None and values.shape != (prediction_length,):
                raise ValueError(
                    f"future_covariates {name!r} of input {i} must be 1-d with prediction_length = "
                    f"{prediction_length} steps, found shape {values.shape}"
                )
