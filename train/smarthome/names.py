"""Names of rooms, sensors and activities in words."""

import re


def readable(name: str) -> str:
    """A name in words: "Cook_Dinner" → "cook dinner", "LivingRoom" → "living room"; codes such as M003 stay."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s_\-]+", " ", name).strip()
    return " ".join(word if re.search(r"\d", word) else word.lower() for word in spaced.split())
