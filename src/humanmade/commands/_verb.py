"""What verbs have in common: how one is declared, how values are read, and options that several take."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from humanmade import places
from humanmade.competition import CURRENT

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

Section = Literal["Train", "Judge", "Submit", "Kaggle", "Other"]
SECTIONS: tuple[Section, ...] = get_args(Section)
"""Parts of a competitor's day, in order."""


JSON = "humanmade.json"
"""In a context's `meta`: where JSON goes, if that is wanted."""


class Verb(click.Command):
    """A command with its part of the day and an example."""

    def __init__(self, *, section: Section, example: str, **settings: Any) -> None:
        super().__init__(
            epilog=f"\b\nexample: {example}", context_settings={"show_default": True}, **settings
        )
        self.section, self.example = section, example


def verb(section: Section, example: str) -> Callable[[Callable[..., None]], Verb]:
    """Make a function the verb of its name."""
    return click.command(cls=Verb, section=section, example=example)


@dataclass(frozen=True)
class Number(click.ParamType):
    """A number in a range, or a word that stands for one."""

    kind: type[int] | type[float]
    valid: Callable[[Any], bool]
    name: str
    """What is expected, in words."""
    word: str = ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number or the word, or an error that says what is expected."""
        if value == self.word:
            return value
        with contextlib.suppress(ValueError):
            number = self.kind(value)
            if self.valid(number):
                return number
        self.fail(f"'{value}' is not {self.name}.", param, ctx)


PATH = click.Path(path_type=Path)
COUNT = Number(int, lambda count: count >= 1, "a positive whole number")
SEED = Number(int, lambda seed: 0 <= seed < 2**32, "a whole number of 0 to 4294967295")
SHARE = Number(float, lambda share: 0 < share < 1, "a share between 0 and 1")
HOURS = Number(float, lambda hours: 0 < hours < math.inf, "a positive number of hours")
SECONDS = Number(float, lambda seconds: 0 < seconds <= 86400, "a number of seconds above 0, at most 86400")
FOLD = Number(int, lambda fold: fold >= 0, "a fold's number, or all", "all")
THRESHOLD = Number(float, math.isfinite, "a number, or oof", "oof")


def option(usage: str, text: str, kind: Any = str, *, name: str | None = None, **settings: Any) -> Decorator:
    """An option as its help shows it.

    Args:
        usage: `--out CSV`; without a value, such as `--json`, it is a flag.
        text: what it does.
        kind: how the value is read: a type of click, or the list of values to choose from.
        name: of the function's argument, where it is not the option's.
        settings: of `click.option`; `multiple` is said in the help.
    """
    names = [word.strip(",") for word in usage.split() if word.startswith("-")]
    if isinstance(kind, list):
        settings["type"] = click.Choice(kind)
    elif usage.endswith(names[-1]):
        settings["is_flag"] = True
    else:
        settings |= {"type": kind, "metavar": usage.split()[-1]}
    if settings.get("default") == "":
        settings.setdefault("show_default", False)
    if settings.get("multiple"):
        text += "; repeatable"
    return click.option(*names, *([name] if name else []), help=text, **settings)


def data(required: bool = False) -> Decorator:
    """`--data`."""
    text = "a data folder: the competition's layout, a manifest.csv, real/ and fake/, or pictures"
    return option("--data D", text, PATH, multiple=True, required=required)


def skip_broken(text: str = "leave out pictures that cannot be read") -> Decorator:
    """`--skip-broken`, with what becomes of them."""
    return option("--skip-broken", text)


def _use_weights(context: click.Context, _: click.Parameter, folder: Path | None) -> None:
    context.with_resource(places.weights_in(folder))


weights = option(
    "--weights W",
    "folder of pretrained weights, looked in first",
    PATH,
    expose_value=False,
    callback=_use_weights,
    show_default="HUMANMADE_WEIGHTS",
)
"""Pretrained weights are looked for there while the verb runs; its function is not given the folder."""


def _tell_in_json(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.meta[JSON] = sys.stdout
        context.with_resource(contextlib.redirect_stdout(sys.stderr))


as_json = option(
    "--json",
    "print JSON; everything else goes to standard error",
    expose_value=False,
    callback=_tell_in_json,
)
"""What the verb gives to `tell` is printed as JSON; its function is not given the wish."""


def in_json() -> bool:
    """Whether `--json` stands on the command line."""
    return JSON in click.get_current_context().meta


def tell(text: str, value: Any) -> None:
    """Print what a verb found: the text for people, or with `--json` the value.

    Args:
        value: of what JSON has, data frames (a list of their rows) and dataclasses.
    """
    from humanmade import files

    if in_json():
        click.get_current_context().meta[JSON].write(files.to_json(_plain(value)))
    else:
        print(text.removesuffix("\n"))


def _plain(value: Any) -> Any:
    """In what JSON has; a cell that holds nothing is None."""
    if is_dataclass(value):
        return _plain({part.name: getattr(value, part.name) for part in fields(value)})
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "to_dict"):
        return value.astype(object).where(value.notna(), None).to_dict("records")
    return value.item() if hasattr(value, "item") else value


def _recipes() -> list[str]:
    from humanmade import recipe

    return recipe.shipped()


def _runs() -> list[str]:
    return sorted(path.parent.name for path in places.COMPARISON.parent.glob("*/recipe.toml"))


NAMES = {"recipe": _recipes, "recipes": _recipes, "run_name": _runs, "names": _runs}
"""What a shell completes, by an argument's name, beside files."""


def argument(name: str, completes: str = "", **settings: Any) -> Decorator:
    """An argument, of `click.argument`; a shell completes it by its name, or by `completes` of `NAMES`."""
    kind = completes or name

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        known = [word for word in NAMES[kind]() if word.startswith(begun)]
        return [CompletionItem(word) for word in known] or [CompletionItem(begun, type="file")]

    if kind in NAMES:
        settings.setdefault("shell_complete", complete)
    return click.argument(name, **settings)


force = option("--force", "replace the --out file if it exists")
patience = option(
    "--patience S", "seconds to go on trying when Kaggle does not answer", SECONDS, default=300.0
)
prevalence = option(
    "--prevalence p", "assumed share of generated pictures", SHARE, default=CURRENT.prevalence
)
settings = option("--set key=value", "override a recipe key", name="settings", multiple=True)


def on_command_line(context: click.Context) -> list[str]:
    """Names of the arguments and options that stand on the command line."""
    names = [parameter.name or "" for parameter in context.command.params]
    # Click before 8.2 takes arguments that may be many, and are none, for given.
    present = [name for name in names if context.params.get(name) != ()]
    return [name for name in present if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
