"""The ways in which a command ends early, each with its exit code."""


class UserError(Exception):
    """Bad input or a refusal: one clear line for the user, exit code 2."""


class KaggleError(Exception):
    """Kaggle said no, or does not answer: one clear line for the user, exit code 3."""


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """The user pressed Ctrl-C and the work so far is saved: exit code 130."""
