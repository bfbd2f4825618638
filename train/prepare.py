"""The command `python -m train.prepare`: raw events → windows, captions, records."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Bool, Int64, Shaped
from pydantic import ConfigDict, Field, model_validator
from rich.console import Console
from rich.table import Table

from chronos_jax.progress import progress_bar
from train.command_line import OneLineFaults, plain_words
from train.smarthome.captions import Names, Scene, captions
from train.smarthome.dataset import Header, Source, SplitName, Window
from train.smarthome.events import Events, read_events
from train.smarthome.files import sha256_of
from train.smarthome.home import Home, Layout, layout, read_home
from train.smarthome.labels import warn_of_undescribed
from train.smarthome.records import check_destination, open_split, read_header, write_prepared
from train.smarthome.series import VARIATES, event_variates, pad_left
from train.smarthome.simulator import simulate, simulated_home
from train.smarthome.vocabulary import Vocabulary
from train.smarthome.windows import SplitOptions, WindowOptions, cut_windows, majority_label, split_days
from train.smarthome.written_captions import Captions, check_captions, list_windows, read_captions


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

    captions: Path | None = None
    """Captions written elsewhere, in place of those of their type from templates: lines {"window_id": ..., "text": ...,
    "type": "long" or "short"}, long where there is no type."""

    list_windows: Path | None = None
    """Also write what is known of each window, one JSON object a line, to write captions from."""

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


# Options that say where things are, not what becomes of them.
_PLACES = {"output", "overwrite", "input", "validation_input", "home", "captions", "list_windows"}


@dataclass(frozen=True)
class _Part:
    """A split: all events of its file, which of them it may use, and its windows among those."""

    events: Events
    rooms: Shaped[np.ndarray, " e"]
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
    written = read_captions(options.captions) if options.captions is not None else {}
    if options.list_windows is not None and not options.list_windows.parent.is_dir():
        raise FileNotFoundError(f"list_windows: there is no folder {options.list_windows.parent}: make it first")
    if options.home is not None:
        home = read_home(options.home, options.home_name)
    else:
        home = simulated_home() if options.simulate is not None else Home()
    with tempfile.TemporaryDirectory() as folder:
        if options.simulate is not None:
            raw = Path(folder) / "simulated.txt"
            simulate(raw, options.simulate, options.seed)
        else:
            assert options.input is not None, "validated: input or simulate"
            raw = options.input
        files = [raw] if options.validation_input is None else [raw, options.validation_input]
        read = [read_events(path, options.strict) for path in files]
        sources = [
            Source(name=path.name, sha256=sha256_of(path), malformed_lines=[line.number for line in events.malformed])
            for path, events in zip(files, read, strict=True)
        ]
    parts = _parts(options, read, home)

    train = parts["train"]
    pairs = np.unique(np.stack([train.events.sensor[train.chosen], train.rooms[train.chosen]]), axis=1).T.tolist()
    vocabulary = Vocabulary.of((sensor for sensor, _ in pairs), (room for _, room in pairs))
    places = layout(home, [(sensor, room) for sensor, room in pairs])
    labels = sorted({label for part in parts.values() for label in part.labels} - {""})
    label_to_text = {label: home.label_texts(label) for label in labels}
    warn_of_undescribed((label for label in labels if label not in home.label_to_text), options.output)
    activities = [*labels, *(text for texts in label_to_text.values() for text in texts)]
    rooms = set().union(*(part.rooms[part.chosen].tolist() for part in parts.values()))
    sensors = set().union(*(part.events.sensor[part.chosen].tolist() for part in parts.values()))
    names = Names.of(rooms, sensors, home, activities)
    if options.captions is not None:
        ids = [_window_id(name, number) for name, part in parts.items() for number in range(len(part.windows))]
        check_captions(options.captions, written, ids, activities)
    header = Header(
        variates=list(VARIATES),
        sequence_length=options.length,
        splits={},
        labels=labels,
        label_to_text=label_to_text,
        vocabulary={field: dict(ids) for field, ids in vocabulary.ids.items()},
        layout={room: dict(points) for room, points in places.points.items()},
        coordinate_bounds=dict(places.bounds),
        home=home,
        options=options.model_dump(mode="json", exclude=_PLACES),
        sources=sources,
        events={name: int(part.chosen.sum()) for name, part in parts.items()},
        unknown_values={
            "sensor": sum(vocabulary.unknown("sensor", part.events.sensor[part.chosen]) for part in parts.values()),
            "room": sum(vocabulary.unknown("room", part.rooms[part.chosen]) for part in parts.values()),
        },
        written_captions=(
            Source(name=options.captions.name, sha256=sha256_of(options.captions)) if options.captions else None
        ),
        captioned_windows=len(written),
        neutral_captions=_count_changed(parts, Names.of(rooms, sensors, home), names, options.seed),
    )
    splits = {name: _windows(name, part, vocabulary, places, names, written, options) for name, part in parts.items()}
    write_prepared(options.output, splits, header, options.overwrite)
    if options.list_windows is not None:
        list_windows(options.list_windows, {name: open_split(options.output, name) for name in parts})
    return options.output


def _parts(options: PrepareOptions, read: list[Events], home: Home) -> dict[SplitName, _Part]:
    chosen: dict[SplitName, tuple[Events, Bool[np.ndarray, " e"]]]
    if len(read) == 2:
        chosen = {
            "train": (read[0], np.ones(len(read[0]), dtype=bool)),
            "validation": (read[1], np.ones(len(read[1]), dtype=bool)),
        }
    else:
        days = read[0].day
        train_days, validation_days = split_days(np.unique(days), options, options.seed)
        chosen = {
            "train": (read[0], np.isin(days, train_days)),
            "validation": (read[0], np.isin(days, validation_days)),
        }
    parts: dict[SplitName, _Part] = {}
    for name, (events, mask) in chosen.items():
        windows = cut_windows(events, mask, options)
        if not len(windows):
            raise ValueError(
                f"The {name} split has {int(mask.sum())} events but not one window of at least "
                f"{options.minimum_events}: give a smaller minimum_events or a longer duration, or more days."
            )
        labels = [majority_label(events.label[start:stop]) for start, stop in windows]
        parts[name] = _Part(events, home.rooms(events), mask, windows, labels)
    return parts


def _scenes(name: SplitName, part: _Part) -> Iterator[tuple[str, Scene]]:
    """The id of each window, and what its captions may tell."""
    for number, (start, stop) in enumerate(part.windows.tolist()):
        yield _window_id(name, number), Scene.of(part.events, part.rooms, start, stop)


def _window_id(split: SplitName, number: int) -> str:
    return f"{split}-{number:06d}"


def _count_changed(parts: dict[SplitName, _Part], plain: Names, names: Names, seed: int) -> int:
    """How many captions differ between the two ways to call rooms and sensors."""
    if names == plain:
        return 0
    return sum(
        before != after
        for name, part in parts.items()
        for window_id, scene in _scenes(name, part)
        for kind, texts in captions(window_id, scene, plain, seed).items()
        for before, after in zip(texts, captions(window_id, scene, names, seed)[kind], strict=True)
    )


def _windows(
    name: SplitName,
    part: _Part,
    vocabulary: Vocabulary,
    places: Layout,
    names: Names,
    written: Captions,
    options: PrepareOptions,
) -> Iterator[Window]:
    events = part.events
    variates_VxE = event_variates(events, part.rooms, vocabulary, places, options.cross_midnight)
    cuts = zip(_scenes(name, part), part.windows.tolist(), part.labels, strict=True)
    with progress_bar() as progress:
        for (window_id, scene), (start, stop), label in progress.track(
            cuts, total=len(part.windows), description=f"{name} windows"
        ):
            series = pad_left(variates_VxE[:, start:stop], options.length)
            told = captions(window_id, scene, names, options.seed) | written.get(window_id, {})
            yield Window.of(window_id, scene, series, told, label)


def _summary(folder: Path, header: Header) -> Table:
    table = Table(title=f"Prepared {folder}", show_header=False)
    table.add_row("events", " + ".join(f"{count:,} {name}" for name, count in header.events.items()))
    table.add_row("windows", " + ".join(f"{split.count:,} {name}" for name, split in header.splits.items()))
    table.add_row("window", f"{header.sequence_length} events × {', '.join(header.variates)}")
    table.add_row("labels", f"{len(header.labels)}")
    for field, ids in header.vocabulary.items():
        table.add_row(f"{field}s", f"{len(ids)} ids; {header.unknown_values[field]:,} events are of unknown {field}")
    table.add_row(
        "neutral captions", f"{header.neutral_captions:,} say room A or sensor A for a name with a label in it"
    )
    if header.written_captions is not None:
        windows = sum(split.count for split in header.splits.values())
        table.add_row(
            "captions",
            f"{header.captioned_windows:,} windows have those of {header.written_captions.name}, "
            f"{windows - header.captioned_windows:,} those of templates",
        )
    for source in header.sources:
        lines = source.malformed_lines
        numbers = ", ".join(map(str, lines[:20])) + (f" and {len(lines) - 20} more" if len(lines) > 20 else "")
        table.add_row(f"malformed lines in {source.name}", f"{len(lines)}" + (f": {numbers}" if lines else ""))
    return table


class _CommandLine(OneLineFaults, PrepareOptions):
    """The options as the command line gives them."""


def main() -> None:
    """Run the command; what is wrong with the options or the input is said in one line, with exit code 1."""
    options = tyro.cli(
        _CommandLine, prog="python -m train.prepare", description=PrepareOptions.__doc__, use_underscores=True
    )
    with plain_words():
        folder = prepare(options)
    Console().print(_summary(folder, read_header(folder)))


if __name__ == "__main__":
    main()
