from humanmade.commands._verb import argument, option, patience, verb


@verb("Kaggle", "humanmade pull train --recipe convnext_tiny")
@argument("kernel")
@option("--recipe R", "which recipe's", default="", show_default="the last pushed")
@option("--force", "replace a run of the same name")
@patience
def pull(kernel: str, recipe: str, force: bool, patience: float) -> None:
    """Fetch a finished kernel's outputs, verify them, and land its run in runs/.

    KERNEL is train, predict, blend, explore, or a kernel's slug.
    """
    from humanmade.kaggle import kernels
    from humanmade.kaggle.client import Client
    from humanmade.kaggle.pull import pull as fetch

    pushed = kernels.find(kernel, recipe)
    for line in fetch(Client(patience), pushed, force):
        print(line)
