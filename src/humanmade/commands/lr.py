from pathlib import Path

from humanmade.commands._verb import (
    PATH,
    Number,
    argument,
    as_json,
    data,
    force,
    option,
    settings,
    skip_broken,
    tell,
    verb,
    weights,
)

STEPS = Number(int, lambda steps: steps >= 30, "a whole number of at least 30")


@verb("Train", "humanmade lr efficientnet_lite0_cpu --data data")
@argument("recipe")
@data()
@settings
@option("--steps N", "from the lowest rate to the highest", STEPS, default=100)
@option("--out PNG", "the plot", PATH, show_default="build/lr-<recipe>.png")
@skip_broken()
@force
@as_json
@weights
def lr(
    recipe: str,
    data: tuple[Path, ...],
    settings: tuple[str, ...],
    steps: int,
    out: Path | None,
    skip_broken: bool,
    force: bool,
) -> None:
    """Suggest a learning rate: train while it rises, and see where the loss falls longest.

    RECIPE is a shipped recipe's name or a .toml file. Without --data: the competition in data/, or the demo.
    """
    from humanmade import files, pretrained
    from humanmade import recipe as recipes
    from humanmade.schema import TrainedRecipe

    wanted = recipes.load(recipe, settings)
    if isinstance(wanted, TrainedRecipe):
        pretrained.require(wanted.pretrained_weights())
    # What is wrong so far is said before the seconds that training's imports take.
    from humanmade.data import defaults, inventory, manifest
    from humanmade.evaluation import rate_test

    job = rate_test.check(wanted)
    out = out or Path(f"build/lr-{job.name}.png")
    files.refuse_existing(out, force)
    table = inventory.attach(manifest.load(defaults.data_or_demo(data).folders), skip_broken)
    found = rate_test.run(job, table, steps)
    rate_test.draw(out, found, job)
    said = f"lr = {found.suggestion:.1e} is suggested; {job.name} has {job.lr:.1e} ({out})"
    tell(said, {"suggested": found.suggestion, "lr": job.lr} | vars(found))
