from humanmade.commands._verb import argument, option, patience, verb


@verb("Kaggle", "humanmade status train --recipe convnext_tiny")
@argument("kernel")
@option("--recipe R", "which recipe's", default="", show_default="the last pushed")
@option("--wait", "follow it until it has ended")
@patience
def status(kernel: str, recipe: str, wait: bool, patience: float) -> None:
    """Say how a pushed kernel does.

    KERNEL is train, predict, blend, explore, or a kernel's slug.
    """
    from humanmade.kaggle import kernels
    from humanmade.kaggle.client import Client

    pushed = kernels.find(kernel, recipe)
    client = Client(patience)
    print(kernels.follow(client, pushed) if wait else kernels.state(client, pushed))
