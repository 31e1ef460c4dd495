from humanmade.commands._verb import as_json, patience, tell, verb


@verb("Kaggle", "humanmade scores")
@patience
@as_json
def scores(patience: float) -> None:
    """Bring the ledger of submissions up to date with Kaggle and print it."""
    from humanmade.kaggle import submissions
    from humanmade.kaggle.client import Client

    rows = submissions.refresh(Client(patience))
    tell(submissions.as_text(rows), rows)
