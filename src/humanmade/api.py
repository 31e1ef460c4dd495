"""The kit from Python: `import humanmade`, then these functions; verbs of the same names do the same.

    run = humanmade.cv("probe_lite0", data="my_pictures")
    run.predict(["photo.jpg", "more/"])       # a data frame, a row a picture
    humanmade.compare()                       # a data frame, a row a run

Files and folders are given as text or as `Path`. Bad input raises `humanmade.UserError`, whose text is one
line. Pretrained weights are looked for in the folder that `HUMANMADE_WEIGHTS` names first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from humanmade import files
from humanmade.competition import CURRENT
from humanmade.errors import UserError
from humanmade.run import RUNS, Run, shared_folders

if TYPE_CHECKING:
    from humanmade.evaluation.audit import Audit
    from humanmade.schema import Recipe

PathLike: TypeAlias = str | Path
Paths: TypeAlias = PathLike | Sequence[PathLike]
Pictures: TypeAlias = PathLike | Iterable[PathLike] | pd.DataFrame
"""Files and folders, or what `Trained.predict` gave of them."""


class Trained(Run):
    """A run that can be asked: its `folder`, its `recipe`, its `scores`, and what it says of pictures."""

    def predict(self, pictures: Pictures) -> pd.DataFrame:
        """What the run says of each picture that can be read; others are warned of and left out.

        Returns:
            A row a picture: `picture, verdict, unsure, share, logit, seen`, and what the run's verdicts are
            worth: `threshold, false_positives, elsewhere, low, high` (`humanmade.evaluation.verdicts`).

        Raises:
            UserError: no picture can be read, or the run has no out-of-fold logits to calibrate by.
        """
        from humanmade.data import named_pictures
        from humanmade.evaluation import inference, verdicts

        return verdicts.verdicts(self, inference.honest_logits(self, named_pictures.rows(_words(pictures))))

    def logits(self, data: Paths = (), skip_broken: bool = False) -> pd.DataFrame:
        """Logits of data folders, of their test rows where they have any: `id, logit`.

        Args:
            data: the folders that the run was trained on by default.
            skip_broken: give pictures that cannot be read the median, instead of refusing.
        """
        from humanmade.data import inventory, manifest
        from humanmade.evaluation import inference
        from humanmade.training.distributed import process_group

        with process_group().first():
            rows = inventory.attach(manifest.to_predict(self.data_folders(_paths(data))), skip_broken)
        manifest.check_test_readable(rows)
        return rows[["id"]].assign(logit=inference.run_logits(self, rows))

    @property
    def has_maps(self) -> bool:
        """Whether `explain` has something to draw: networks and probes have."""
        from humanmade.evaluation import explain

        return explain.has_maps(self)

    def explain(
        self, pictures: Pictures, out: PathLike = ".", method: str = "gradcam", force: bool = False
    ) -> list[Path]:
        """Draw where the run looks: `explain-<name>.png` in the folder `out` for each picture.

        Args:
            method: of `humanmade.choices.MAPS`, for networks; a probe's maps are exact.
            force: replace files that are there.

        Raises:
            UserError: the detector has no maps, or a file is there.
        """
        from humanmade.data import named_pictures
        from humanmade.evaluation import explain, inference

        method = explain.map_method(self, method)
        rows = inference.known(self, named_pictures.rows(_words(pictures)))
        places = explain.map_files(rows["id"].tolist(), Path(out))
        for place in places:
            files.refuse_existing(place, force)
        explain.draw_each(self, rows, method, places)
        return places


def cv(
    recipe: PathLike | None = None,
    data: Paths = (),
    out: PathLike | None = None,
    *,
    extra: Paths = (),
    folds: int | None = None,
    fold: int | str | None = None,
    split: str | None = None,
    settings: Mapping[str, Any] | Sequence[str] | str = (),
    seed: int | None = None,
    limit: int | None = None,
    skip_broken: float = False,
    prevalence: float = CURRENT.prevalence,
    hours: float | None = None,
) -> Trained:
    """Train the folds of a recipe, score them, predict the test set; a run that was started before goes on.

    Args:
        recipe: a shipped recipe's name or a .toml file.
        data: data folders; without any the competition in data/, else the demo.
        out: the run's folder; `runs/<recipe>` by default.
        extra: folders of labelled rows that join every training part and are never scored.
        folds: how many; `fold` trains one of them only, or "all" rows at once.
        split: what folds keep apart: "pairs" or "source".
        settings: recipe keys to change: `{"image_size": 256, "augment.chain": 0}`, or `["image_size=256"]`.
        limit: a smoke run on about that many rows.
        skip_broken: go on without pictures that cannot be read; a number is the largest share of them.
        prevalence: assumed share of generated pictures in the test set.
        hours: stop training in time to end within them.

    Raises:
        UserError: the data, the recipe or an earlier start forbids it.
    """
    from humanmade import metrics
    from humanmade.training.budget import Budget

    metrics.require_share(prevalence)
    budget, named = Budget(hours), _paths(data)
    # What is wrong so far is said before training's imports take seconds and pictures are read.
    job = _job(recipe, named, fold, settings=_settings(settings), folds=folds, split=split, seed=seed)
    run = Trained(Path(out or RUNS / job.name))
    run.refuse_strangers()
    from humanmade.crossval import Options, command

    options = Options(fold, prevalence, budget)
    command.train(job, run, named, _paths(extra), limit, skip_broken, options)
    return run


def _job(named: PathLike | None, data: Sequence[Path], fold: int | str | None, **keys: Any) -> Recipe:
    """A recipe as asked for, or the data's own, after refusing what it alone tells is wrong."""
    from humanmade import pretrained
    from humanmade import recipe as recipes
    from humanmade.data import defaults
    from humanmade.images import views

    job = recipes.with_options(str(named or defaults.default_recipe(data)), **keys)
    views.expand(job.views)
    recipes.require_fold(job, fold)
    pretrained.require(job.pretrained_weights())
    return job


def _settings(given: Mapping[str, Any] | Sequence[str] | str) -> Sequence[str]:
    """`key=value`, as the command line has them."""
    if isinstance(given, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in given.items()]
    return _names(given)


def load(run: PathLike) -> Trained:
    """Open a run by its name below `runs/`, or by its folder.

    Raises:
        UserError: there is none.
    """
    return Trained(Run.find(str(run)).folder)


def compare(runs: Paths = ()) -> pd.DataFrame:
    """Runs side by side, the best first (`humanmade.evaluation.compare.compare`): all in `runs/` by default.

    Raises:
        UserError: one is not there, or there are none.
    """
    from humanmade import ledger
    from humanmade.evaluation import compare, entries

    return compare.compare(entries.runs(_names(runs)), ledger.read())


@dataclass(frozen=True)
class Blend:
    """A blend of runs that was written as a submission."""

    table: pd.DataFrame
    """`id, logit, label`; the label is what the submission gives, a probability where it wants one."""
    lines: list[str]
    """What it is made of and holds, in words."""

    def __str__(self) -> str:
        return "\n".join(self.lines)


def blend(
    runs: Paths,
    out: PathLike,
    *,
    method: str = "mean",
    data: Paths = (),
    prevalence: float | None = None,
    threshold: float | str | None = None,
    force: bool = False,
) -> Blend:
    """Blend runs, or CSVs of logits, into a checked submission.

    Args:
        runs: names or folders of runs, or CSV files with `id,logit`.
        out: the submission to write.
        method: of `humanmade.choices.FUSIONS`.
        data: the folders whose test rows it is checked against; those that the runs share by default.
        prevalence: cut by rank at this share of generated pictures; the competition's by default.
        threshold: cut at this blended logit instead, or "oof": where out-of-fold F1 is best.
        force: replace the file if it is there.

    Raises:
        UserError: the method, the cut, ids, folds or the file forbid it.
    """
    from humanmade.data import manifest
    from humanmade.evaluation import blend, worth

    files.refuse_existing(Path(out), force)
    if threshold is not None and prevalence is not None:
        raise UserError("--threshold: cuts at a logit and --prevalence by rank; leave one of them out")
    made = blend.Blend([blend.read_member(name) for name in _names(runs)], method, prevalence)
    logits = made.test
    folders, problem = _shared_folders([member.run for member in made.members if member.run], data)
    if folders:
        logits = worth.in_order(logits, manifest.load(folders, pictures=False))
    labels, lines = worth.submit(made, logits, Path(out), threshold)
    lines += worth.lines(made, dict(zip(logits.index, labels, strict=True)))
    if problem:
        lines.append(f"not checked against a test.csv: {problem}")
    return Blend(pd.DataFrame({"id": logits.index, "logit": logits.to_numpy(), "label": labels}), lines)


def audit(data: Paths, skip_broken: bool = False) -> Audit:
    """What gives the label away without a detector; its `verdict` says it in sentences.

    Raises:
        UserError: the data cannot be read.
    """
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import audit

    return audit.audit(inventory.attach(manifest.load(_paths(data)), skip_broken))


def report(out: PathLike, runs: Paths = (), data: Paths = (), skip_broken: bool = False) -> Path:
    """Write one HTML page of runs (all in `runs/` by default), and of the audit of the data that they share.

    Args:
        data: another data to audit.

    Raises:
        UserError: there are no runs, or the extra `report` is not installed.
    """
    from humanmade import ledger
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import entries, report

    found = entries.runs(_names(runs))
    folders, problem = _shared_folders(found, data)
    if problem:
        print(f"no audit: {problem}")
    table = inventory.attach(manifest.load(folders), skip_broken) if folders else None
    files.write_text(Path(out), report.report(found, ledger.read(), table))
    return Path(out)


def _paths(given: Paths) -> list[Path]:
    return [*map(Path, _names(given))]


def _names(given: PathLike | Iterable[PathLike]) -> list[str]:
    return [*map(str, [given] if isinstance(given, str | Path) else given)]


def _shared_folders(runs: Sequence[Run], data: Paths) -> tuple[Sequence[Path], str]:
    """The folders given, else those of the data that the runs share; or none, and why."""
    try:
        return _paths(data) or shared_folders(runs), ""
    except UserError as error:
        return (), str(error)


def _words(pictures: Pictures) -> list[str]:
    return pictures["picture"].tolist() if isinstance(pictures, pd.DataFrame) else _names(pictures)
