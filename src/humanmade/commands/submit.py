from pathlib import Path

from humanmade import places
from humanmade.commands._verb import PATH, argument, option, patience, verb


@verb("Kaggle", 'humanmade submit submissions/two.csv -m "two probes"')
@argument("file", type=PATH)
@option("-m, --message TEXT", "its description", default="")
@option("--again", "send it although the ledger has it")
@option("--data D", "folder with test.csv", PATH, multiple=True, default=[places.DATA])
@patience
def submit(file: Path, message: str, again: bool, data: tuple[Path, ...], patience: float) -> None:
    """Check a submission, send it, wait for its score, write it into the ledger.

    FILE is the submission.
    """
    from humanmade import submission
    from humanmade.kaggle import submissions
    from humanmade.kaggle.client import Client

    submission.check(file, submissions.test_ids(data))
    if not again:
        submissions.refuse_sent(file)
    client = Client(patience)
    row = submissions.send(client, file, message)
    print(f"{file}: sent, ref {row['ref']}; waiting for its score", flush=True)
    print(f"{file}: {submissions.result(submissions.follow(client, row))}")
