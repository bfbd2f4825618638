"""The command `python -m train.prepare`: raw events → windows, captions, records."""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from jaxtyping import Bool, Float32, Int64, Shaped
from pydantic import ConfigDict, Field, model_validator
from rich.console import Console
from rich.table import Table

from train.console import progress_bar
from train.smarthome.captions import Scene, captions
from train.smarthome.dataset import Header, SplitName, Window
from train.smarthome.events import Events, read_events
from train.smarthome.files import sha256_of
from train.smarthome.home import Home, layout, read_home
from train.smarthome.records import check_destination, write_prepared
from train.smarthome.series import VARIATES, event_variates, pad_left
from train.smarthome.simulator import simulate, simulated_home
from train.smarthome.vocabulary import UNKNOWN, Vocabulary
from train.smarthome.windows import SplitOptions, WindowOptions, cut_windows, majority_label, split_days


class PrepareOptions(WindowOptions, SplitOptions):
    """Turn raw smart-home events into the windows that training reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path
    """Folder to write."""

    input: Path | None = None
    """Raw CASAS event file: plain, .gz or .xz, of either public form."""

    validation_input: Path | None = None
    """With split given: a second event file, all of which validates while all of the first trains."""

    simulate: int | None = Field(default=None, ge=2)
    """In place of input: simulate a home for so many days."""

    home: Path | None = None
    """Description of the home in JSON, under the keys of the public CASAS metadata."""

    home_name: str | None = None
    """Which home, where that file describes several."""

    seed: int = 0
    """Chooses the wording of captions, the days of split day, and the simulation."""

    strict: bool = False
    """Stop at malformed lines instead of skipping them."""

    overwrite: bool = False
    """Replace the output if it is a prepared folder."""

    @model_validator(mode="after")
    def _one_source(self) -> "PrepareOptions":
        if (self.input is None) == (self.simulate is None):
            raise ValueError("give either --input FILE or --simulate DAYS, not both and not neither")
        if self.validation_input is not None and (self.split != "given" or self.given_train or self.given_validation):
            raise ValueError("validation_input needs split 'given', and no lists of days")
        return self


@dataclass(frozen=True)
class _Source:
    """The events that a split may use, and its windows among them."""

    events: Events
    chosen: Bool[np.ndarray, " e"]
    windows: Int64[np.ndarray, "w 2"]
    labels: list[str]


def prepare(options: PrepareOptions) -> Path:
    """Prepare the data as the options say and return the folder.

    Raises:
        FileExistsError: the output exists, and is no prepared folder or is not to be overwritten.
        FileNotFoundError: no such input.
        ValueError: the input, the home or the options do not allow it; the message says what does.
    """
    check_destination(options.output, options.overwrite)
    if options.simulate is not None:
        home = simulated_home() if options.home is None else read_home(options.home, options.home_name)
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "simulated.txt"
            simulate(raw, options.simulate, options.seed)
            return _prepare(options, raw, home)
    home = Home() if options.home is None else read_home(options.home, options.home_name)
    assert options.input is not None, "validated: input or simulate"
    return _prepare(options, options.input, home)


def _prepare(options: PrepareOptions, raw: Path, home: Home) -> Path:
    files = [raw] if options.validation_input is None else [raw, options.validation_input]
    read = {path: read_events(path, options.strict) for path in files}
    sources = _sources(options, list(read.values()))

    train = sources["train"]
    train_rooms = home.rooms(train.events)
    train_pairs = {
        (str(sensor), str(room))
        for sensor, room in zip(train.events.sensor[train.chosen], train_rooms[train.chosen], strict=True)
    }
    vocabulary = Vocabulary.of((sensor for sensor, _ in train_pairs), (room for _, room in train_pairs))
    places = layout(home, train_pairs)

    labels = sorted({label for source in sources.values() for label in source.labels} - {""})
    rooms = {name: home.rooms(source.events) for name, source in sources.items()}
    header = Header(
        variates=list(VARIATES),
        sequence_length=options.length,
        splits={},
        labels=labels,
        label_to_text={label: home.label_text(label) for label in labels},
        vocabulary={field: dict(ids) for field, ids in vocabulary.ids.items()},
        layout={room: dict(points) for room, points in places.points.items()},
        coordinate_bounds=dict(places.bounds),
        options=options.model_dump(mode="json", exclude={"output", "overwrite", "input", "validation_input", "home"}),
        source={path.name: sha256_of(path) for path in files},
        events={name: int(source.chosen.sum()) for name, source in sources.items()},
        malformed_lines={path.name: [line.number for line in events.malformed] for path, events in read.items()},
        unknown_values={
            "sensor": _outside(vocabulary, "sensor", [(s.events.sensor, s.chosen) for s in sources.values()]),
            "room": _outside(vocabulary, "room", [(rooms[name], s.chosen) for name, s in sources.items()]),
        },
    )
    splits = {
        name: _windows(
            name,
            source,
            rooms[name],
            event_variates(source.events, rooms[name], vocabulary, places, options.cross_midnight),
            home,
            options,
        )
        for name, source in sources.items()
    }
    header = write_prepared(options.output, splits, header, options.overwrite)
    _report(options.output, header, read)
    return options.output


def _sources(options: PrepareOptions, read: list[Events]) -> dict[SplitName, _Source]:
    chosen: dict[SplitName, tuple[Events, Bool[np.ndarray, " e"]]]
    if len(read) == 2:
        chosen = {
            "train": (read[0], np.ones(len(read[0]), dtype=bool)),
            "validation": (read[1], np.ones(len(read[1]), dtype=bool)),
        }
    else:
        events = read[0]
        train_days, validation_days = split_days(np.unique(events.day), options, options.seed)
        chosen = {
            "train": (events, np.isin(events.day, train_days)),
            "validation": (events, np.isin(events.day, validation_days)),
        }
    sources: dict[SplitName, _Source] = {}
    for name, (events, mask) in chosen.items():
        windows = cut_windows(events, mask, options)
        if not len(windows):
            raise ValueError(
                f"The {name} split has {int(mask.sum())} events but not one window of at least "
                f"{options.minimum_events}: give a smaller minimum_events or a longer duration, or more days."
            )
        labels = [majority_label(events.label[start:stop]) for start, stop in windows]
        sources[name] = _Source(events, mask, windows, labels)
    return sources


def _windows(
    name: SplitName,
    source: _Source,
    rooms: Shaped[np.ndarray, " e"],
    variates_VxE: Float32[np.ndarray, "v e"],
    home: Home,
    options: PrepareOptions,
) -> Iterator[Window]:
    cuts = list(zip(source.windows.tolist(), source.labels, strict=True))
    with progress_bar() as progress:
        for number, ((start, stop), label) in enumerate(progress.track(cuts, description=f"{name} windows")):
            window_id = f"{name}-{number:06d}"
            scene = Scene(
                start=_moment(source.events.timestamp[start]),
                end=_moment(source.events.timestamp[stop - 1]),
                rooms=rooms[start:stop].tolist(),
                sensors=source.events.sensor[start:stop].tolist(),
            )
            yield Window(
                window_id=window_id,
                series=pad_left(variates_VxE[:, start:stop], options.length),
                captions=captions(window_id, scene, home, options.seed),
                label=label,
                start=scene.start.isoformat(),
                end=scene.end.isoformat(),
                rooms=sorted(set(scene.rooms)),
                sensors=sorted(set(scene.sensors)),
            )


def _moment(timestamp: np.int64) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=int(timestamp))


def _outside(
    vocabulary: Vocabulary, field: Literal["sensor", "room"], columns: list[tuple[np.ndarray, np.ndarray]]
) -> int:
    unknown = vocabulary.ids[field][UNKNOWN]
    return sum(int((vocabulary.encode(field, values[chosen]) == unknown).sum()) for values, chosen in columns)


def _report(folder: Path, header: Header, read: dict[Path, Events]) -> None:
    table = Table(title=f"Prepared {folder}", show_header=False)
    table.add_row("events", " + ".join(f"{count:,} {name}" for name, count in header.events.items()))
    table.add_row("windows", " + ".join(f"{split.count:,} {name}" for name, split in header.splits.items()))
    table.add_row("window", f"{header.sequence_length} events × {', '.join(header.variates)}")
    table.add_row("labels", f"{len(header.labels)}")
    table.add_row("sensors, rooms", ", ".join(f"{len(ids) - 2}" for ids in header.vocabulary.values()))
    table.add_row("events of unknown sensor, room", ", ".join(f"{n:,}" for n in header.unknown_values.values()))
    for path, events in read.items():
        numbers = ", ".join(str(line.number) for line in events.malformed[:20])
        rest = f" and {len(events.malformed) - 20} more" if len(events.malformed) > 20 else ""
        table.add_row(
            f"malformed lines in {path.name}", f"{len(events.malformed)}" + (f": {numbers}{rest}" if numbers else "")
        )
    Console().print(table)


def main() -> None:
    """Run the command; what is wrong with the input is said in one line, with exit code 1."""
    options = tyro.cli(PrepareOptions, prog="python -m train.prepare")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            prepare(options)
        except (OSError, ValueError) as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
