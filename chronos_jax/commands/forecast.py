"""The command `forecast`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from chronos_jax.commands.files import check_output, check_picture, read_table, shown
from chronos_jax.commands.options import SeriesOptions, without_default
from chronos_jax.commands.words import words_of_the_shell
from chronos_jax.replacing import replacing

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """What to forecast of which series."""

    horizon: Annotated[int, tyro.conf.arg(metavar="STEPS")]
    """Time steps ahead."""
    future: Annotated[Path | None, without_default("FILE")] = None
    """Covariates that are known ahead, in a file like DATA: STEPS rows for each series."""
    quantiles: Annotated[tuple[float, ...] | None, without_default("LEVEL [LEVEL ...]")] = None
    """Between 0 and 1, a column each; by default 0.1, 0.2 … 0.9."""
    freq: Annotated[str | None, without_default("STEP")] = None
    """Step of time as pandas names it, such as h, 15min, D, MS; by default inferred."""
    cross_learning: bool = False
    """Series see each other: as many together as --batch-size says, by default 256."""
    plot: Annotated[Path | None, without_default("FILE")] = None
    """A picture of history, median and two intervals: .png, .pdf or .svg."""
    series: Annotated[SeriesOptions, tyro.conf.arg(name="")]


def forecast(options: Annotated[ForecastOptions, tyro.conf.arg(name="")]) -> None:
    """Forecast the series of a file.

    The answer has a row for each series, target and time step ahead: id, timestamp, target_name, predictions (the
    median), and a column for each quantile level.
    """
    given = options.series
    if options.horizon < 1:
        raise ValueError(f"--horizon must be at least 1, found {options.horizon}")
    given.check()
    if options.plot is not None:
        check_picture(options.plot)
        check_output(options.plot, given.overwrite)
    history = given.read()
    future = None if options.future is None else _read_future(options.future, given, history)

    from chronos_jax.chronos2.pipeline import DECILES
    from chronos_jax.frames.reading import read_frame
    from chronos_jax.quantiles import check_levels

    levels = DECILES if options.quantiles is None else options.quantiles
    check_levels(levels)
    columns: dict[str, Any] = {
        "id_column": given.ids,
        "timestamp_column": given.timestamp_column,
        "target": list(given.target),
        "prediction_length": options.horizon,
        "freq": options.freq,
    }
    only_drawn = [] if options.plot is None else [level for level in DECILES if level not in levels]
    with words_of_the_shell(shown(given.data), str(options.future)):
        number = len(read_frame(history, future, **columns).ids_N)  # faults are told before a model is loaded
    model = given.load_model()
    with words_of_the_shell(shown(given.data), str(options.future)):
        answer = model.predict_df(
            history,
            future,
            quantile_levels=[*levels, *only_drawn],
            batch_size=given.batch_size,
            context_length=given.context_length,
            cross_learning=options.cross_learning,
            progress=given.shows_progress,
            **columns,
        )
    if options.plot is not None:
        _draw(history, answer, given, options.plot)
    written = [given.write(answer.drop(columns=[str(level) for level in only_drawn]))]  # last, for a reader may leave
    written += [] if options.plot is None else [str(options.plot)]
    print(f"forecast of {number:,} series, {options.horizon:,} steps: {', '.join(written)}", file=sys.stderr)


def _read_future(path: Path, given: SeriesOptions, history: "pd.DataFrame") -> "pd.DataFrame":
    """The covariates known ahead, with ids of the history's type."""
    future = read_table(path, given.ids, given.timestamp_column)
    ids = history[given.ids]
    if given.ids in future:
        return future.astype({given.ids: ids.dtype})
    if ids.nunique() == 1:
        future.insert(0, given.ids, ids.iloc[0])
    return future


def _draw(history: "pd.DataFrame", answer: "pd.DataFrame", given: SeriesOptions, path: Path) -> None:
    from chronos_jax.plotting import plot

    figure = plot(history, answer, id_column=given.ids, timestamp_column=given.timestamp_column)
    with replacing(path) as beside:
        figure.savefig(beside)
