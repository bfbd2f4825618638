"""The command `embed`."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from chronos_jax.chronos2.pooling import Pooling
from chronos_jax.commands.files import shown
from chronos_jax.commands.options import SeriesOptions
from chronos_jax.commands.words import words_of_the_shell


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(SeriesOptions):
    """What to embed, and how."""

    pooling: Pooling = "mean"
    """What a vector is made of: mean or max over the patches of time, the REG token, or the last patch."""
    layer: int = -1
    """Whose output: -1 for the encoder's, l for the l-th block's, 0 for what goes into the first."""


def embed(options: Annotated[EmbedOptions, tyro.conf.arg(name="")]) -> None:
    """Embed the series of a file, one vector each.

    The answer has a row for each series: its id, then the columns embedding_0, embedding_1 …
    """
    options.check()
    history = options.read()

    import pandas as pd

    from chronos_jax.chronos2.tasks import stack_tasks
    from chronos_jax.frames.reading import read_frame

    with words_of_the_shell(shown(options.data)):
        series = read_frame(
            history,
            target=list(options.target),
            prediction_length=1,
            id_column=options.ids,
            timestamp_column=options.timestamp_column,
            freq="D",  # of no consequence: nothing ahead is asked for, and steps of the history may be of any length
        )
    ids = series.ids_N.tolist()
    tasks = stack_tasks(series.past, {}, series.target_VxR, series.lengths_N, prediction_length=0, ids=ids)
    vectors_NxD = options.load_model().embed(
        tasks,
        batch_size=options.batch_size,
        context_length=options.context_length,
        pooling=options.pooling,
        layer=options.layer,
        progress=options.shows_progress,
    )
    number, size = vectors_NxD.shape
    answer = pd.DataFrame(vectors_NxD, columns=[f"embedding_{d}" for d in range(size)])
    answer.insert(0, options.ids, series.ids_N)
    print(f"embedding of {number:,} series, {size:,} values each: {options.write(answer)}", file=sys.stderr)
