"""One file describes one experiment: recipes read, changed by overrides, written in full, and compared.

`detector` chooses the model of `humanmade.schema` whose fields are the file's keys.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from humanmade.errors import UserError, did_you_mean
from humanmade.files import write_text
from humanmade.schema import KINDS, About, Recipe, Table

SHIPPED = Path(__file__).parent / "recipes"

Values = dict[str, Any]
R = TypeVar("R", bound=Recipe)


def require(good: bool, key: str, value: object, expected: str) -> None:
    """Raise a UserError naming the key unless its value is good, where only its detector can tell."""
    if not good:
        raise UserError(f"recipe: {key} = {json.dumps(value)}; expected {expected}")


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a recipe file by path, and apply `key=value` overrides.

    Keys of tables are dotted: `augment.chain=0`. An ensemble's file may name its members, shipped ones or
    files beside it: `members = ["probe_lite0", "own.toml"]`.

    Raises:
        UserError: no such recipe, an unknown key, or a value of the wrong type or range.
    """
    path = _find(name)
    values = _with_members(_read(path), path.parent)
    for override in overrides:
        where = override.partition("=")[0].split(".")
        if where[0] == "members" and where[-1] in ("seeds", "folds", "fold_seed", "split"):
            raise UserError(
                f"--set {override}: an ensemble's {where[-1]} holds for all members; set {where[-1]}="
            )
        values = _with_members(_merged(values, _override(override)), Path())
    return build(values, name)


def build(values: Values, where: str) -> Recipe:
    """Make a checked recipe of plain values; `where` names their origin in errors."""
    detector = values.get("detector")
    if not isinstance(detector, str) or detector not in KINDS:
        raise UserError(f"{where}: detector = {json.dumps(detector, default=str)}; known: {', '.join(KINDS)}")
    return cast(Recipe, _validated(KINDS[detector], values, where, f"detector '{detector}'"))


def change(recipe: R, **values: Any) -> R:
    """Copy a recipe with some values replaced, checked again."""
    return cast(R, build(recipe.model_dump() | values, "recipe"))


def shipped() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def summary(name: str) -> Values:
    """A recipe's `name`, `what` it is (the first sentence of its comment), the weights that it `needs`, and
    what its file says of itself (`humanmade.schema.About`)."""
    path = _find(name)
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    comment = " ".join(line.removeprefix("#").strip() for line in lines)
    what = re.split(r"(?<=[.:]) (?=[A-Z])", comment)[0].rstrip(".")
    told = {"name": name, "what": what, "needs": load(name).pretrained_weights()}
    return told | _about(_toml_of(path), path).model_dump()


def listing(summaries: Sequence[Values]) -> str:
    """Recipes one a line, for people; what is known of each stands below."""
    width = max((len(one["name"]) for one in summaries), default=0)
    told = ""
    for one in summaries:
        told += f"{one['name']:{width}}  {one['machine'] or '?'}  {one['what']}\n"
        facts = {"takes": one["time"], "memory:": one["memory"], "measured:": one["scores"]}
        for word, fact in (facts | {"needs": ", ".join(one["needs"])}).items():
            told += f"{'':{width}}       {word} {fact}\n" if fact else ""
    return told


def difference_table(names: Sequence[str], found: Mapping[str, Sequence[Any]]) -> str:
    """Keys in which recipes differ with the value of each, below the recipes' names; a dash for none."""
    cells = [
        [key, *("-" if value is None else json.dumps(value, ensure_ascii=False) for value in values)]
        for key, values in found.items()
    ]
    rows = [["", *names], *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def write_new(name: str, source: str, folder: Path = Path()) -> Path:
    """Write `<name>.toml` with every key of another recipe, to be changed; a taken name is refused."""
    name = name.removesuffix(".toml")
    path = folder / f"{name}.toml"
    require(Path(name).name == name, "name", name, "a plain name")
    if path.exists() or name in shipped():
        where = "exists" if path.exists() else "is a shipped recipe's name"
        raise UserError(f"{path}: {where}; give another name")
    write_text(path, f"# From {source}.\n{to_toml(change(load(source), name=name))}")
    return path


def to_toml(recipe: Recipe) -> str:
    """Write a recipe out in full, an ensemble's members too, so that it needs no other file."""
    return "\n".join(_toml(recipe.model_dump(), ())) + "\n"


def save(recipe: Recipe, path: Path) -> None:
    """Write a recipe, every key resolved."""
    write_text(path, to_toml(recipe))


def differences(recipes: Sequence[Recipe]) -> dict[str, list[Any]]:
    """Keys, dotted, in which recipes differ, with the value of each recipe; None where it has no such key."""
    settings = [dict(_flat(recipe.model_dump())) for recipe in recipes]
    keys = dict.fromkeys(key for values in settings for key in values)
    found = {key: [values.get(key) for values in settings] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def difference(old: Recipe, new: Recipe) -> str | None:
    """Name the first key in which two recipes differ, with both values; None where none does."""
    found = (
        f"{key}: {json.dumps(a)} there, {json.dumps(b)} now"
        for key, (a, b) in differences([old, new]).items()
    )
    return next(found, None)


def _find(name: str, folder: Path = Path()) -> Path:
    """The file of a recipe by name, or by path from `folder`."""
    path = folder / name if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if not os.path.isfile(path):  # noqa: PTH113 - takes a name that no file could have for a missing file
        own = [other.name for other in path.parent.glob("*.toml")]
        known = own if name.endswith(".toml") else [*shipped(), *map(str, Path().glob("*.toml"))]
        near = did_you_mean(Path(name).name, known)
        choices = "; humanmade recipes lists those that there are, or give the path of a .toml file"
        raise UserError(f"recipe '{name}': not found{near or choices}")
    return path


def _read(path: Path) -> Values:
    """The keys that stand in a recipe's file, unchecked; its name is the file's where it has none."""
    values = {"name": path.stem} | _toml_of(path)
    _about(values, path)
    values.pop("about", None)
    return values


def _about(values: Values, path: Path) -> About:
    return cast(About, _validated(About, values.get("about", {}), str(path), "about", "about."))


def _validated(kind: type[Table], values: object, where: str, what: str, prefix: str = "") -> Table:
    """A table of checked values; errors name where they come from, what the table is, and the key."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {_complaint(kind, what, prefix, error.errors()[0])}") from None


def _toml_of(path: Path) -> Values:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML ({error})") from None


def _with_members(values: Values, folder: Path) -> Values:
    """Read the recipes that an ensemble names, by path from `folder`, into tables of its own."""
    names = values.get("members")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return values
    members = {Path(name).stem: _read(_find(name, folder)) for name in names}
    require(len(members) == len(names), "members", names, "no name twice")
    return values | {"members": members}


def require_fold(recipe: Recipe, fold: int | str | None) -> None:
    """Refuse a fold that a recipe has not, where the recipe alone tells how many there are.

    Raises:
        UserError: it has not so many.
    """
    if isinstance(fold, int) and recipe.split == "pairs" and fold >= recipe.folds:
        raise UserError(f"--fold {fold}: expected 0 to {recipe.folds - 1}, or all")


def _override(text: str) -> Values:
    """Read `key=value` as TOML; a value that is none (a bare word) is a string."""
    key, equals, value = text.partition("=")
    for literal in (value, json.dumps(value.strip())) if equals else ():
        try:
            return tomllib.loads(f"{key} = {literal}")
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    raise UserError(f"--set {text}: expected key=value, such as lr=1e-4")


def _merged(values: Values, changes: Values) -> Values:
    """Values with some replaced, tables key by key."""
    tables = {key for key in changes if isinstance(changes[key], dict) and isinstance(values.get(key), dict)}
    return values | changes | {key: _merged(values[key], changes[key]) for key in tables}


def _toml(values: Values, place: tuple[str, ...]) -> Iterator[str]:
    """Lines of TOML: plain keys first, for JSON's scalars and lists are TOML's, then each table."""
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    if place and len(tables) < len(values):
        yield f"\n[{'.'.join(map(_toml_key, place))}]"
    for key, value in values.items():
        if key not in tables:
            yield f"{_toml_key(key)} = {json.dumps(value, ensure_ascii=False)}"
    for key, table in tables.items():
        yield from _toml(table, (*place, key))


def _toml_key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _flat(values: Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _complaint(table: type[Table], what: str, prefix: str, error: ErrorDetails) -> str:
    """One line of pydantic's first error: the key, the value found and what was expected."""
    place = [part for part in error["loc"] if isinstance(part, str)]
    value, kind = error["input"], error["type"]
    if place[:1] == ["members"] and len(place) > 3:
        prefix, table, place = f"members.{place[1]}: ", KINDS[place[2]], place[3:]
        what = f"{prefix}detector '{table.model_fields['detector'].default}'"
    key = ".".join(place)
    name = f"{prefix}{key}".rstrip(".")
    if kind == "extra_forbidden":
        return f"{what} has no key '{key}'{_nearest(key, _keys(table))}"
    if kind == "missing":
        return f"{name} is missing"
    if kind.startswith("union_tag"):
        tags = error["ctx"].get("expected_tags", "a detector")
        return f"{name}.detector = {json.dumps(value.get('detector'))}; expected {tags}"
    expected = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        expected = "a table"
    if kind == "too_short":
        expected = f"at least {error['ctx']['min_length']}"
    value = list(value) if isinstance(value, dict) else value
    return f"{name} = {json.dumps(value, default=str)}; expected {expected}"


def _keys(kind: type[Table]) -> Iterator[str]:
    """The keys of a model, those of its tables dotted."""
    for name, field in kind.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            yield from (f"{name}.{key}" for key in _keys(field.annotation))


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = [name for name in names if name.endswith(f".{word}")]
    if near:
        return f"; did you mean '{near[0]}'?"
    return did_you_mean(word, names) or f"; it has {', '.join(name for name in names if '.' not in name)}"


def with_options(
    name: str, settings: Sequence[str], folds: int | None, split: str | None, seed: int | None
) -> Recipe:
    """A recipe with `key=value` settings, and with keys that have options of their own."""
    options = {"folds": folds, "split": split, "seeds": seed}
    changes = [f"{key}={value}" for key, value in options.items() if value is not None]
    recipe = load(name, [*settings, *changes])
    if folds is not None and recipe.split == "source":
        raise UserError("--folds: a source split has as many folds as the data has sources; leave it out")
    return recipe
