"""What a push asks of Kaggle: which kernel, for which recipe, with what attached, for how long."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanmade import recipe as recipes
from humanmade import yardsticks
from humanmade.errors import UserError
from humanmade.kaggle import LONGEST_HOURS, SMALL, weights
from humanmade.kaggle.client import Client
from humanmade.progress import warn

EXPLORED = "probe_lite0"
"""The recipe that `explore` tries unless another is named."""
FORESEEING = ("train", "explore")
"""Kernels that forecast, for which more weights are good."""
SMOKE_PICTURES, SMOKE_FOLDS, SMOKE_HOURS = 2000, 2, 0.5
REFERENCE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
MODEL = re.compile(r"[\w-]+/[\w.-]+/\w+/[\w.-]+/[0-9]+", re.ASCII)


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
    """Folder under kernels/: train, predict, blend, explore."""
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
    models: tuple[str, ...] = ()
    """`owner/model/framework/variation/version` of Kaggle Models with pretrained weights."""

    @property
    def reference(self) -> str:
        """`owner/slug` of the kernel itself."""
        return f"{self.owner}/{slug(self.kernel, self.recipe, '--limit' in self.options)}"

    @property
    def told(self) -> str:
        """In words: the time that it is given and that its recipe takes, memory, and what is attached."""
        recipe = recipes.summary(self.recipe) if self.recipe else {}
        unknown = "not known; --smoke tells" if self.kernel == "train" else ""
        facts = {
            "ends within": f"{self.hours:g} hours" * (self.kernel == "train"),
            "whole recipe takes": recipe.get("time") or unknown,
            "memory": recipe.get("memory") or unknown,
            "attached": ", ".join(
                filter(None, (*self.weights, *self.models, *self.extra, *self.runs, self.resume))
            ),
        }
        return "\n".join(f"  {word}: {fact}" for word, fact in facts.items() if fact)

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
        for model in self.models:
            if not MODEL.fullmatch(model):
                raise UserError(
                    f"--attach-model {model}: expected owner/model/framework/variation/version, as on the "
                    "model's page, such as timm/vit/pyTorch/base/1"
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
    models: Sequence[str] = (),
) -> Order:
    """Put an order together: names get their owner, the recipe its weights, the push a fresh run id.

    Args:
        owner: of what is pushed, and of runs and datasets that are named by their slug alone.
        resume: go on from the outputs of this kernel's last run.
        attach: datasets with weights besides those of the recipe.

    Raises:
        UserError: the recipe, or an option that it does not take.
    """
    names = []
    if recipe:
        job = recipes.with_options(recipe, settings, part.folds, None, part.seed)
        _check_fold(part.fold, job)
        names = job.pretrained_weights()
    if kernel in FORESEEING:
        names += yardsticks.pretrained_weights()
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
        tuple(models),
    )


def _check_fold(fold: int | str | None, job: recipes.Recipe) -> None:
    if isinstance(fold, int) and job.split == "pairs" and fold >= job.folds:
        raise UserError(f"--fold {fold}: expected 0 to {job.folds - 1}, or all")


def with_ready_datasets(client: Client, order: Order) -> Order:
    """The order with the datasets that the kernel would find.

    One of the recipe's weights that is not on Kaggle is left out, with a warning, where others are attached;
    so are weights that only the forecast would use.

    Raises:
        UserError: a dataset of the user's is not there, or not ready: a kernel would start without it.
    """
    job = recipes.load(order.recipe, order.settings) if order.recipe else None
    wanted = _datasets(order.owner, job.pretrained_weights() if job else [])
    useful = _datasets(order.owner, yardsticks.pretrained_weights() if order.kernel in FORESEEING else [])
    more = [name for name in order.weights if name not in wanted | useful] + list(order.models)
    ready, absent = [], []
    for reference in (*order.weights, *order.extra):
        state = _state(client, reference)
        if state == "absent" and reference in useful and (more or reference not in wanted):
            absent.append(useful[reference])
        elif state == "absent" and reference in wanted and more:
            warn(f"dataset {reference}: not on Kaggle; {wanted[reference]} has to be in {', '.join(more)}")
        elif state == "absent":
            raise UserError(f"dataset {reference}: not on Kaggle; {_advice(reference, order, wanted)}")
        elif state != "ready":
            raise UserError(
                f"dataset {reference}: is {state}; a kernel would start without it, so push later"
            )
        else:
            ready.append(reference)
    if absent:
        warn(
            f"the forecast goes without {', '.join(absent)}, not among your datasets; "
            f"humanmade weights push {' '.join(absent)} uploads what it lacks"
        )
    return replace(order, weights=tuple(name for name in order.weights if name in ready))


def _datasets(owner: str, names: Sequence[str]) -> dict[str, str]:
    """Names of pretrained weights by the dataset of each."""
    return {f"{owner}/{weights.slug(name)}": name for name in names}


def _state(client: Client, reference: str) -> str:
    # Kaggle tells the state of one's own datasets only; of others it tells at the push.
    mine = reference.startswith(f"{client.owner}/")
    return weights.status(client, reference)[0] if mine else "ready"


def _advice(reference: str, order: Order, wanted: dict[str, str]) -> str:
    """What to do about a dataset that is not there."""
    if reference in order.extra:
        return "make a dataset of the pictures first"
    upload = f"humanmade weights push --recipe {order.recipe} uploads what it needs; "
    return f"{upload * (reference in wanted)}--attach names another dataset with them"


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
