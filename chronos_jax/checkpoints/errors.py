"""The errors that bad checkpoints raise."""

from collections.abc import Sequence


class CheckpointError(ValueError):
    """A checkpoint that cannot be found, read, trusted or written; the message says why and what to do."""

    @classmethod
    def listing(cls, heading: str, problems: Sequence[str]) -> "CheckpointError":
        """One error that lists every problem on a line of its own."""
        return cls("\n  - ".join([f"{heading}:", *problems]))


class UnsupportedConfigError(ValueError):
    """The checkpoint asks for something that this implementation does not have, or contradicts itself."""
