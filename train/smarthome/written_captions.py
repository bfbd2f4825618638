"""Captions that people or a language model wrote elsewhere, and the list of windows to write them from."""

import codecs
import json
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from chronos_jax.replacing import replacing
from train.smarthome.dataset import CaptionType, Window
from train.smarthome.names import naming

SHOWN = 3  # examples in a message

Captions = dict[str, dict[str, list[str]]]
"""Window id → type of caption → texts, in the order of the file."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    window_id: str
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    type: CaptionType = "long"


def read_captions(path: Path) -> Captions:
    """Reads captions, one JSON object a line: {"window_id": "train-000012", "text": "…", "type": "long" or "short"}.

    A window may have several lines; without a type a caption is long; other keys are left aside. A text given twice for
    a window counts once.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A line is not of this form, with its number; or there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of captions {path}.")
    captions: Captions = {}
    form = '{"window_id": "train-000000", "text": "…"}, where "type" may be ' + " or ".join(get_args(CaptionType))
    for number, line in enumerate(path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            caption = _Line.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            where = "".join(f"{key}: " for key in fault["loc"])
            said = "not JSON" if fault["type"] == "json_invalid" else where + fault["msg"]
            raise ValueError(f"{path}, line {number}: {said}. Expected {form}.") from error
        texts = captions.setdefault(caption.window_id, {}).setdefault(caption.type, [])
        if caption.text not in texts:
            texts.append(caption.text)
    if not captions:
        raise ValueError(f"{path} has no caption. Expected lines {form}.")
    return captions


def check_captions(path: Path, captions: Captions, windows: Collection[str], activities: Iterable[str]) -> None:
    """Checks that captions belong to windows that there are, and warns where they name an activity.

    Args:
        path: Their file, for messages.
        captions: What `read_captions` gave.
        windows: Ids of all windows.
        activities: Labels and their wordings.

    Raises:
        ValueError: Captions of unknown windows.
    """
    if unknown := sorted(set(captions) - set(windows)):
        raise ValueError(
            f"{path} has captions for windows that there are not: {len(unknown)}, such as "
            f"{', '.join(unknown[:SHOWN])}; there are {len(windows)} from {min(windows)} to {max(windows)}. Ids follow "
            "from the events and from how they are cut and split: caption the windows that --list_windows writes with "
            "these very options."
        )
    texts = [text for kinds in captions.values() for own in kinds.values() for text in own]
    if told := naming(texts, activities):
        warnings.warn(
            f"{path}: {len(told)} of {len(texts)} captions name an activity, such as {told[0]!r}: towers trained on "
            "them learn to spell the labels, and zero-shot scores say less than they seem to",
            stacklevel=2,
        )


def list_windows(path: Path, windows: Mapping[str, Iterable[Window]]) -> None:
    """Writes what there is to say of each window, one JSON object a line, for whoever writes captions.

    A line has window_id, split, start, end, rooms, sensors and the captions from templates; not the label, which a
    caption should not tell.

    Args:
        path: The file, replaced where it exists.
        windows: Split → its windows.
    """
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        for split, some in windows.items():
            for window in some:
                facts = {key: getattr(window, key) for key in ("start", "end", "rooms", "sensors", "captions")}
                file.write(json.dumps({"window_id": window.window_id, "split": split, **facts}) + "\n")
