"""Names of rooms, sensors and activities in words."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, product
from string import ascii_uppercase


def readable(name: str) -> str:
    """A name in words: "Cook_Dinner" → "cook dinner", "LivingRoom" → "living room"; codes such as M003 stay."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_\-]+", " ", name).strip()
    return " ".join(word if re.search(r"\d", word) else word.lower() for word in spaced.split())


def without_activities(texts: Mapping[str, str], activities: Iterable[str], neutral: str) -> dict[str, str]:
    """Texts, of which those that contain an activity are replaced by a neutral word with a letter.

    A text contains an activity if the activity's words, in any spelling that `readable` undoes and in any case, stand
    in it in a row; "Toilet2" contains "toilet", "toiletries" does not.

    Args:
        texts: what is said of each room, or each sensor, by its name.
        activities: names or descriptions of activities.
        neutral: the word, such as "room": "room A" replaces the first such text by order of name, "room B" the next.
    """
    spellings = {spelling for activity in activities for spelling in _spellings(activity)}
    letters = _letters()
    return {
        name: f"{neutral} {next(letters)}" if _contains(texts[name], spellings) else texts[name]
        for name in sorted(texts)
    }


def naming(texts: Iterable[str], activities: Iterable[str]) -> list[str]:
    """Those of the texts that contain an activity, as `without_activities` understands it."""
    spellings = {spelling for activity in activities for spelling in _spellings(activity)}
    return [text for text in texts if _contains(text, spellings)]


def _contains(text: str, spellings: set[str]) -> bool:
    return any(spelling in own for own in _spellings(text) for spelling in spellings)


def _spellings(text: str) -> set[str]:
    """The words of a text, as it is and made readable, each between blanks; nothing if it has no word."""
    in_words = (re.findall(r"[^\W\d_]+|\d+", each.lower()) for each in (text, readable(text)))
    return {f" {' '.join(words)} " for words in in_words if words}


def _letters() -> Iterator[str]:
    return ("".join(letters) for length in count(1) for letters in product(ascii_uppercase, repeat=length))
