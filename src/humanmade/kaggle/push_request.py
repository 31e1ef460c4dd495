"""What a push asks of Kaggle: which kernel, for which recipe, with what attached, for how long."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from humanmade import recipe as recipes
from humanmade import yardsticks
from humanmade.choices import FUSIONS
from humanmade.errors import UserError
from humanmade.images.views import expand
from humanmade.kaggle import (
    HOURS,
    LONGEST_HOURS,
    SMALL,
    SMOKE_FOLDS,
    SMOKE_PICTURES,
    STARTUP_HOURS,
    slug,
    weights,
)
from humanmade.kaggle.client import Client
from humanmade.progress import warn

FORESEEING = ("train", "explore")
"""Kernels that forecast, for which more weights are good."""
BLENDING = ("method", "prevalence", "threshold")
"""Options of the verb `blend` that a kernel passes on."""
REFERENCE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
MODEL = re.compile(r"[\w-]+/[\w.-]+/\w+/[\w.-]+/[0-9]+", re.ASCII)


@dataclass(frozen=True)
class CvOptions:
    """What makes a training smaller or otherwise unlike its recipe: options of `cv`."""

    limit: int | None = None
    fold: int | str | None = None
    folds: int | None = None
    seed: int | None = None
    skip_broken: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """As on the command line of `cv`."""
        numbers = {"limit": self.limit, "fold": self.fold, "folds": self.folds, "seed": self.seed}
        given = [(f"--{name}", str(value)) for name, value in numbers.items() if value is not None]
        return (*(part for pair in given for part in pair), *["--skip-broken"] * self.skip_broken)

    def smoke(self, recipe: str, settings: Sequence[str]) -> CvOptions:
        """A first try of a recipe: enough to see that everything works and how fast it is.

        A source split has as many folds as the data has sources.
        """
        by_source = bool(recipe) and recipes.load(recipe, settings).split == "source"
        folds = self.folds or (None if by_source else SMOKE_FOLDS)
        return replace(self, limit=self.limit or SMOKE_PICTURES, folds=folds)


@dataclass(frozen=True)
class PushRequest:
    """What a push fills into a kernel; runs and datasets without an owner are the pushing user's."""

    kernel: str
    """Folder under kernels/: train, predict, blend, explore."""
    recipe: str
    """A shipped recipe's name or the path of a .toml file; predict takes its views; empty for blend."""
    owner: str
    """Kaggle user name."""
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Fresh for each push; the kernel writes it into outputs.json."""
    settings: tuple[str, ...] = ()
    """`key=value`: of the recipe (for predict only `views`), or options of the blend."""
    hours: float = HOURS
    """Time budget of training; the other kernels have none of their own."""
    runs: tuple[str, ...] = ()
    """Kernels whose runs are predicted with or blended."""
    resume: bool = False
    """Go on from the outputs of this kernel's last run."""
    attach: tuple[str, ...] = ()
    """Datasets with weights besides those of the recipe and the forecast."""
    options: CvOptions = CvOptions()
    extra: tuple[str, ...] = ()
    """Datasets with labelled pictures that join every training part."""
    models: tuple[str, ...] = ()
    """`owner/model/framework/variation/version` of Kaggle Models with pretrained weights."""
    run_recipes: tuple[str, ...] = ()
    """Recipes of `runs`, as far as they were pushed from here: to predict, runs need their weights."""
    absent: tuple[str, ...] = ()
    """Datasets of weights that are done without, as they are not on Kaggle."""

    @property
    def slug(self) -> str:
        """Name of the kernel on Kaggle; its title slugs to exactly this."""
        stem = Path(self.recipe).stem if self.recipe.endswith(".toml") else self.recipe
        return slug(f"humanmade-{self.kernel}-{stem}{SMALL * (self.options.limit is not None)}")

    @property
    def reference(self) -> str:
        """`owner/slug` of the kernel itself."""
        return f"{self.owner}/{self.slug}"

    @property
    def recipe_weights(self) -> dict[str, str]:
        """Names of the pretrained weights that the recipe needs, by the dataset of each."""
        jobs = [self._job()] if self.recipe else []
        if self.kernel == "predict":
            jobs = [recipes.load(name) for name in self.run_recipes] or jobs
        return self._datasets(name for job in jobs for name in job.pretrained_weights())

    @property
    def forecast_weights(self) -> dict[str, str]:
        """Those that the forecast is better with."""
        return self._datasets(yardsticks.pretrained_weights() if self.kernel in FORESEEING else ())

    @property
    def datasets(self) -> list[str]:
        """`owner/slug` of all datasets with weights, each once."""
        known = dict.fromkeys([*self.recipe_weights, *self.forecast_weights, *self.owned(self.attach)])
        return [reference for reference in known if reference not in self.absent]

    @property
    def told(self) -> str:
        """In words: the time that it is given and that its recipe takes, memory, and what is attached."""
        recipe = recipes.summary(self.recipe) if self.recipe else {}
        unknown = "not known; --smoke tells" if self.kernel == "train" else ""
        attached = [*self.datasets, *self.models, *self.owned((*self.extra, *self.runs))]
        facts = {
            "ends within": f"{self.hours:g} hours" * (self.kernel == "train"),
            "whole recipe takes": recipe.get("time") or unknown,
            "memory": recipe.get("memory") or unknown,
            "attached": ", ".join([*attached, *[self.reference] * self.resume]),
        }
        return "\n".join(f"  {word}: {fact}" for word, fact in facts.items() if fact)

    def owned(self, names: Iterable[str]) -> tuple[str, ...]:
        """`owner/slug` of what was named so, or by its slug alone."""
        return tuple(name if "/" in name else f"{self.owner}/{name}" for name in names)

    def check(self) -> None:
        """Refuse what would only fail on Kaggle.

        Raises:
            UserError: naming the option.
        """
        if self.recipe:
            job = self._job()
            recipes.require_fold(job, self.options.fold)
            expand(job.views)
        for line in self.settings:
            key, _, value = line.partition("=")
            if self.kernel == "predict" and key != "views":
                raise UserError(f"--set {line}: runs predict as they were trained; only views= can be set")
            if self.kernel == "blend" and key not in BLENDING:
                raise UserError(f"--set {line}: a blend is told {', '.join(f'{name}=' for name in BLENDING)}")
            if self.kernel == "blend" and key == "method" and value not in FUSIONS:
                raise UserError(f"--set {line}: expected one of {', '.join(FUSIONS)}")
        if not 0 < self.hours <= LONGEST_HOURS - STARTUP_HOURS:
            raise UserError(
                f"hours {self.hours:g}: a session lasts at most {LONGEST_HOURS:g}, starting and ending "
                f"included; give at most {LONGEST_HOURS - STARTUP_HOURS:g}"
            )
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.owner):
            raise UserError(f"owner '{self.owner}': not a Kaggle user name")
        for reference in self.owned((*self.runs, *self.attach, *self.extra)):
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

    def _job(self) -> recipes.Recipe:
        return recipes.with_options(self.recipe, self.settings, self.options.folds, None, self.options.seed)

    def _datasets(self, names: Iterable[str]) -> dict[str, str]:
        return {f"{self.owner}/{weights.dataset(name)}": name for name in names}


def with_ready_datasets(client: Client, request: PushRequest) -> PushRequest:
    """The request without the datasets of weights that the kernel would not find.

    One of the recipe's weights that is not on Kaggle is left out, with a warning, where others are attached;
    so are weights that only the forecast would use.

    Raises:
        UserError: a dataset of the user's is not there, or not ready: a kernel would start without it.
    """
    wanted, useful = request.recipe_weights, request.forecast_weights
    more, absent = ", ".join([*request.owned(request.attach), *request.models]), []
    for reference in (*request.datasets, *request.owned(request.extra)):
        # Kaggle tells the state of one's own datasets only; of others it tells at the push.
        mine = reference.startswith(f"{client.owner}/")
        state = weights.status(client, reference)[0] if mine else "ready"
        if state == "absent" and (reference in wanted or reference in useful):
            if reference in wanted and not more:
                raise UserError(
                    f"dataset {reference}: not on Kaggle; humanmade weights push --recipe {request.recipe} "
                    "uploads what it needs; --attach names another dataset with them"
                )
            if reference not in useful:
                warn(f"dataset {reference}: not on Kaggle; {wanted[reference]} has to be in {more}")
            absent.append(reference)
        elif state == "absent":
            of_pictures = reference in request.owned(request.extra)
            advice = "make a dataset of the pictures first" if of_pictures else "give another --attach"
            raise UserError(f"dataset {reference}: not on Kaggle; {advice}")
        elif state != "ready":
            raise UserError(
                f"dataset {reference}: is {state}; a kernel would start without it, so push later"
            )
    if lost := " ".join(useful[reference] for reference in absent if reference in useful):
        warn(
            f"the forecast goes without {lost.replace(' ', ', ')}, not among your datasets; "
            f"humanmade weights push {lost} uploads what it lacks"
        )
    return replace(request, absent=tuple(absent))
