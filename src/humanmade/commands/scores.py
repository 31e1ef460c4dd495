from humanmade.commands._verb import patience, verb


@verb("Kaggle", "humanmade scores")
@patience
def scores(patience: float) -> None:
    """Bring the ledger of submissions up to date with Kaggle and print it."""
    from humanmade.kaggle import submissions
    from humanmade.kaggle.client import Client

    print(submissions.as_text(submissions.refresh(Client(patience))))
