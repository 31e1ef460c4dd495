import click

from humanmade.commands import _verb
from humanmade.commands._verb import argument, option, patience, verb


@verb("Kaggle", "humanmade weights push --recipe probe_dinov2_s")
@argument("action", type=click.Choice(["push"]), metavar="push")
@argument("names", nargs=-1, metavar="[NAME]...")
@option("--recipe R", "all that a recipe and its forecast need", multiple=True, name="recipes")
@_verb.weights
@patience
def weights(action: str, names: tuple[str, ...], recipes: tuple[str, ...], patience: float) -> None:
    """Upload pretrained weights as private datasets, which kernels can attach.

    NAME is a timm model, with its tag where it has several, or an autoencoder; of taef2 the --weights folder
    holds its two halves, or diffusion_pytorch_model.safetensors of madebyollin/taef2.
    """
    from humanmade import recipe as recipe_files
    from humanmade import yardsticks
    from humanmade.errors import UserError
    from humanmade.kaggle import weights as datasets
    from humanmade.kaggle.client import Client

    needed = [name for recipe in recipes for name in recipe_files.load(recipe).pretrained_weights()]
    names = tuple(dict.fromkeys([*names, *needed, *(yardsticks.pretrained_weights() if recipes else ())]))
    if not names:
        raise UserError("weights push: name weights, or a recipe with --recipe")
    paths = {name: datasets.find(name) for name in names}
    client = Client(patience)
    for name in names:
        reference = datasets.push(client, name, paths[name])
        print(f"{name}: ready in {reference}; push attaches it to recipes that need it", flush=True)
