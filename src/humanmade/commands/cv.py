from pathlib import Path

from humanmade.commands._verb import (
    COUNT,
    FOLD,
    HOURS,
    PATH,
    SEED,
    SHARE,
    argument,
    data,
    option,
    prevalence,
    settings,
    skip_broken,
    verb,
    weights,
)


@verb("Train", "humanmade cv probe_lite0 --data data --set image_size=256")
@argument("recipe", required=False)
@data()
@option("--extra D", "labelled rows that join every training part and are never scored", PATH, multiple=True)
@option("--out R", "the run folder", PATH, show_default="runs/<recipe>")
@option("--folds K", "how many folds", COUNT, show_default="the recipe's")
@option("--fold k", "train this fold only, or 'all' rows at once", FOLD)
@option("--split", "what folds keep apart", ["pairs", "source"], show_default="the recipe's")
@settings
@option("--seed N", "the one seed to train with", SEED)
@option("--limit N", "a smoke run on N rows (whole pairs)", COUNT)
@skip_broken("go on without pictures that cannot be read")
@option("--most-broken S", "go on without them if they are at most this share of the train pictures", SHARE)
@prevalence
@option("--hours H", "stop training in time to end within H hours", HOURS)
@weights
def cv(
    recipe: str | None,
    data: tuple[Path, ...],
    extra: tuple[Path, ...],
    out: Path | None,
    folds: int | None,
    fold: int | str | None,
    split: str | None,
    settings: tuple[str, ...],
    seed: int | None,
    limit: int | None,
    skip_broken: bool,
    most_broken: float | None,
    prevalence: float,
    hours: float | None,
) -> None:
    """Train the folds of a recipe, score them, predict the test set.

    RECIPE is a shipped recipe's name or a .toml file (default: probe_lite0, or demo).
    """
    from humanmade import api
    from humanmade.errors import UserError

    if skip_broken and most_broken is not None:
        raise UserError(
            "--most-broken: bounds what --skip-broken leaves out without bounds; give one of them"
        )
    api.cv(
        recipe,
        data,
        out,
        extra=extra,
        folds=folds,
        fold=fold,
        split=split,
        settings=settings,
        seed=seed,
        limit=limit,
        skip_broken=skip_broken or most_broken or 0.0,
        prevalence=prevalence,
        hours=hours,
    )
