from pathlib import Path

from humanmade import places
from humanmade.commands._verb import PATH, option, patience, verb


@verb("Kaggle", "humanmade data --data data")
@option("--data D", "the folder", PATH, name="folder", default=places.DATA)
@patience
def data(folder: Path, patience: float) -> None:
    """Download the competition's tables and pictures, going on where an earlier download broke off."""
    from humanmade.kaggle.client import Client
    from humanmade.kaggle.download import download

    print(download(Client(patience), folder))
