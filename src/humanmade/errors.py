"""The ways in which a command ends early, each with its exit code, and what a wrong word may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

COMPLAINT = "humanmade: "
"""How the last words of a command that failed begin."""


class OneLineError(Exception):
    """One clear line for the user, without what a terminal would obey, whatever it quotes."""

    def __init__(self, text: str) -> None:
        super().__init__("".join(letter if letter.isprintable() else " " for letter in text.strip()))


class UserError(OneLineError):
    """Bad input or a refusal: exit code 2."""


class KaggleError(OneLineError):
    """Kaggle said no, or does not answer: exit code 3."""


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """The user pressed Ctrl-C and the work so far is saved: exit code 130."""


def reason(error: BaseException) -> str:
    """The first line that a library's error says, or what it is called where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory is too short, by itself or because no kernel had room.

    cuDNN tries kernels until none is left, and then says that it found none, whatever the reason.
    """
    words = (
        "unable to find an engine",
        "STATUS_ALLOC_FAILED",
        "CUDA error: out of memory",
        "can't allocate memory",
    )
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`; did you mean 'name'?` for the known name nearest to a wrong one; empty where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""
