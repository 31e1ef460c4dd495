from pathlib import Path

from humanmade.commands._verb import (
    COUNT,
    PATH,
    argument,
    data,
    force,
    option,
    settings,
    skip_broken,
    verb,
    weights,
)


@verb("Train", "humanmade show robust_cpu --data data --set augment.chain=2")
@argument("recipe")
@data()
@settings
@option("--pictures N", "how many pictures or pairs", COUNT, default=6)
@option("--draws N", "how many draws of each, at most", COUNT, default=5)
@option("--out PNG", "the sheet", PATH, show_default="build/show-<recipe>.png")
@skip_broken()
@force
@weights
def show(
    recipe: str,
    data: tuple[Path, ...],
    settings: tuple[str, ...],
    pictures: int,
    draws: int,
    out: Path | None,
    skip_broken: bool,
    force: bool,
) -> None:
    """Draw what a recipe's detector sees: the file, the clean view, the draws that it learns from.

    RECIPE is a shipped recipe's name or a .toml file. Without --data: the competition in data/, or the demo.
    """
    from humanmade import files
    from humanmade import recipe as recipes
    from humanmade.data import defaults, inventory, manifest
    from humanmade.evaluation import shown

    job = recipes.load(recipe, settings)
    out = out or Path(f"build/show-{job.name}.png")
    files.refuse_existing(out, force)
    table = manifest.load(defaults.data_or_demo(data).folders)
    print(shown.draw(out, job, inventory.attach(table, skip_broken), pictures, draws))
