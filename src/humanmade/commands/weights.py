import click

from humanmade.commands import _verb
from humanmade.commands._verb import argument, patience, verb


@verb("Kaggle", "humanmade weights push vit_small_patch14_dinov2.lvd142m")
@argument("action", type=click.Choice(["push"]), metavar="push")
@argument("names", nargs=-1, required=True, metavar="NAME...")
@_verb.weights
@patience
def weights(action: str, names: tuple[str, ...], patience: float) -> None:
    """Upload pretrained weights as private datasets, which kernels can attach.

    NAME is a timm model with its tag, or an autoencoder.
    """
    from humanmade.kaggle import weights as datasets
    from humanmade.kaggle.client import Client

    paths = {name: datasets.find(name) for name in names}
    client = Client(patience)
    for name in names:
        reference = datasets.push(client, name, paths[name])
        print(f"{name}: ready in {reference}; push attaches it to recipes that need it", flush=True)
