from pathlib import Path

from humanmade.commands._verb import PATH, argument, data, option, verb


@verb("Submit", "humanmade check submissions/two.csv --data data --against submissions/one.csv")
@argument("file", type=PATH)
@data()
@option("--against FILE", "another submission: tell which labels differ", PATH)
def check(file: Path, data: tuple[Path, ...], against: Path | None) -> None:
    """Check a submission against test.csv.

    FILE is the submission. Without --data it is checked against the data of the runs that made it.
    """
    from humanmade import ledger, submission
    from humanmade.data import defaults, manifest

    runs = ledger.runs_of(file)
    folders = runs[0].data_folders(data) if runs else defaults.data_or_demo(data).folders
    ids = manifest.submission_ids(manifest.load(folders, pictures=False)).tolist()
    labels = submission.check(file, ids)
    print(f"{file}: good; {submission.summary(labels)} ({sum(labels.values()) / len(labels):.1%})")
    if against:
        print("\n".join(submission.changes(labels, submission.check(against, ids))))
