from pathlib import Path

from humanmade.commands._verb import PATH, argument, data, force, option, skip_broken, verb, weights


@verb("Submit", "humanmade predict probe_lite0 --data data --out logits.csv")
@argument("run_name", metavar="RUN")
@data(required=True)
@option("--out CSV", "where id,logit goes", PATH, required=True)
@skip_broken("pictures that cannot be read get the median")
@force
@weights
def predict(run_name: str, data: tuple[Path, ...], out: Path, skip_broken: bool, force: bool) -> None:
    """Predict logits of a folder (its test rows where it has any) with a run.

    RUN is a run's name or folder.
    """
    from humanmade import files
    from humanmade.data import inventory, manifest
    from humanmade.evaluation.inference import run_logits
    from humanmade.run import Run
    from humanmade.training.team import team

    run = Run.find(run_name)
    files.refuse_existing(out, force)
    with team().first():
        rows = inventory.attach(manifest.to_predict(data), skip_broken)
    manifest.check_test_readable(rows)
    logits = run_logits(run, rows)
    if team().leads:
        files.write_csv(out, rows[["id"]].assign(logit=logits))
        print(f"{out}: logits of {len(rows)} pictures")
