"""What a push asks of Kaggle: which kernel, for which recipe, with what attached, for how long."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.kaggle import LONGEST_HOURS, SMALL, weights
from humanmade.kaggle.client import Client
from humanmade.progress import warn

SMOKE_PICTURES, SMOKE_FOLDS, SMOKE_HOURS = 2000, 2, 0.5
REFERENCE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Part:
    """What makes a training smaller or otherwise unlike its recipe: options of `cv`."""

    limit: int | None = None
    fold: int | str | None = None
    folds: int | None = None
    seed: int | None = None
    skip_broken: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """As on the command line of `cv`."""
        numbers = {"limit": self.limit, "fold": self.fold, "folds": self.folds, "seed": self.seed}
        given = [(f"--{name}", str(value)) for name, value in numbers.items() if value is not None]
        return (*(part for pair in given for part in pair), *["--skip-broken"] * self.skip_broken)

    def smoke(self, recipe: str, settings: Sequence[str]) -> Part:
        """A first try of a recipe: enough to see that everything works and how fast it is.

        A source split has as many folds as the data has sources.
        """
        by_source = bool(recipe) and recipes.load(recipe, settings).split == "source"
        folds = self.folds or (None if by_source else SMOKE_FOLDS)
        return replace(self, limit=self.limit or SMOKE_PICTURES, folds=folds)


@dataclass(frozen=True)
class Order:
    """What a push fills into a kernel."""

    kernel: str
    """Folder under kernels/: train, predict, blend."""
    recipe: str
    """A shipped recipe's name or the path of a .toml file; predict takes its views; empty for blend."""
    owner: str
    """Kaggle user name."""
    run_id: str
    """Fresh for each push; the kernel writes it into outputs.json."""
    settings: tuple[str, ...] = ()
    """`key=value`: of the recipe (for predict only `views`), or options of the blend."""
    hours: float = 11.0
    """Time budget of training; the other kernels have none of their own."""
    runs: tuple[str, ...] = ()
    """`owner/slug` of the kernels whose runs are predicted with or blended."""
    resume: str = ""
    """`owner/slug` of an earlier session whose run is gone on with."""
    weights: tuple[str, ...] = ()
    """`owner/slug` of datasets with pretrained weights."""
    options: tuple[str, ...] = ()
    """More of `cv`, as on its command line."""
    extra: tuple[str, ...] = ()
    """`owner/slug` of datasets with labelled pictures that join every training part."""

    @property
    def reference(self) -> str:
        """`owner/slug` of the kernel itself."""
        return f"{self.owner}/{slug(self.kernel, self.recipe, '--limit' in self.options)}"

    def check(self) -> None:
        """Refuse what would only fail on Kaggle.

        Raises:
            UserError: naming the option.
        """
        if self.recipe:
            recipes.load(self.recipe, self.settings)
        useless = [
            line for line in self.settings if self.kernel == "predict" and not line.startswith("views=")
        ]
        if useless:
            raise UserError(f"--set {useless[0]}: runs predict as they were trained; only views= can be set")
        if not 0 < self.hours <= LONGEST_HOURS:
            raise UserError(f"hours {self.hours:g}: a session lasts at most {LONGEST_HOURS:g}; give fewer")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.owner):
            raise UserError(f"owner '{self.owner}': not a Kaggle user name")
        for reference in (*self.runs, *self.weights, *self.extra, *filter(None, [self.resume])):
            if not REFERENCE.fullmatch(reference):
                raise UserError(
                    f"'{reference}': expected owner/slug, as in the kernel's or dataset's address"
                )


def order(
    owner: str,
    kernel: str,
    recipe: str = "",
    settings: Sequence[str] = (),
    hours: float = 11.0,
    runs: Sequence[str] = (),
    resume: bool = False,
    attach: Sequence[str] = (),
    part: Part = Part(),
    extra: Sequence[str] = (),
) -> Order:
    """Put an order together: names get their owner, the recipe its weights, the push a fresh run id.

    Args:
        owner: of what is pushed, and of whatever is named without one.
        runs: kernels whose outputs are taken up, by slug or `owner/slug`.
        resume: go on from the outputs of this kernel's last run.
        attach: datasets with weights besides those of the recipe, by slug or `owner/slug`.
        part: of the training.
        extra: datasets with labelled pictures, by slug or `owner/slug`.

    Raises:
        UserError: the recipe, or an option that it does not take.
    """
    names = []
    if recipe:
        job = recipes.with_options(recipe, settings, part.folds, None, part.seed)
        _check_fold(part.fold, job)
        names = job.pretrained_weights()
    datasets = [*(weights.slug(name) for name in names), *attach]
    return Order(
        kernel,
        recipe,
        owner,
        secrets.token_hex(8),
        tuple(settings),
        hours,
        tuple(_owned(owner, name) for name in runs),
        f"{owner}/{slug(kernel, recipe, part.limit is not None)}" if resume else "",
        tuple(dict.fromkeys(_owned(owner, name) for name in datasets)),
        part.options,
        tuple(_owned(owner, name) for name in extra),
    )


def _check_fold(fold: int | str | None, job: recipes.Recipe) -> None:
    if isinstance(fold, int) and job.split == "pairs" and fold >= job.folds:
        raise UserError(f"--fold {fold}: expected 0 to {job.folds - 1}, or all")


def with_ready_datasets(client: Client, order: Order) -> Order:
    """The order with the datasets that the kernel would find.

    One of the recipe's that is not on Kaggle is left out, with a warning, where others are attached.

    Raises:
        UserError: a dataset of the user's is not there, or not ready: a kernel would start without it.
    """
    names = recipes.load(order.recipe, order.settings).pretrained_weights() if order.recipe else []
    wanted = {f"{order.owner}/{weights.slug(name)}": name for name in names}
    more = [reference for reference in order.weights if reference not in wanted]
    ready = []
    for reference in (*order.weights, *order.extra):
        # Kaggle tells the state of one's own datasets only; of others it tells at the push.
        mine = reference.startswith(f"{client.owner}/")
        state = weights.status(client, reference)[0] if mine else "ready"
        if state == "absent" and reference in order.extra:
            raise UserError(f"--extra {reference}: not on Kaggle; make a dataset of the pictures first")
        if state == "absent" and reference in wanted and more:
            warn(f"dataset {reference}: not on Kaggle; {wanted[reference]} has to be in {', '.join(more)}")
            continue
        if state == "absent":
            upload = f"humanmade weights push {wanted.get(reference)} uploads these weights; "
            advice = f"{upload * (reference in wanted)}--attach names another dataset with them"
            raise UserError(f"dataset {reference}: not on Kaggle; {advice}")
        if state != "ready":
            raise UserError(
                f"dataset {reference}: is {state}; a kernel would start without it, so push later"
            )
        ready += [reference] * (reference in order.weights)
    return replace(order, weights=tuple(ready))


def slug(kernel: str, recipe: str, small: bool = False) -> str:
    """Name of a kernel on Kaggle, 5 to 50 characters; its title slugs to exactly this.

    Args:
        small: whether it trains on a part of the data.
    """
    stem = Path(recipe).stem if recipe.endswith(".toml") else recipe
    name = re.sub(r"[^a-z0-9]+", "-", f"humanmade-{kernel}-{stem}{SMALL * small}".lower()).strip("-")
    if len(name) <= 50:
        return name
    return f"{name[:43].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _owned(owner: str, name: str) -> str:
    return name if "/" in name else f"{owner}/{name}"
