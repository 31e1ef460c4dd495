from pathlib import Path

from humanmade.commands._verb import (
    PATH,
    argument,
    as_json,
    data,
    force,
    option,
    prevalence,
    skip_broken,
    tell,
    verb,
    weights,
)


@verb("Judge", "humanmade evaluate probe_lite0 --data wild")
@argument("run_name", metavar="RUN")
@data(required=True)
@option("--split", "which rows", ["train", "test"], show_default="test where there are any, else all")
@prevalence
@option("--out CSV", "also write id,label,source,logit (and repo, if named)", PATH)
@as_json
@skip_broken()
@force
@weights
def evaluate(
    run_name: str,
    data: tuple[Path, ...],
    split: str | None,
    prevalence: float,
    out: Path | None,
    skip_broken: bool,
    force: bool,
) -> None:
    """Score a labelled folder with a run's finished folds, and count the look at it.

    RUN is a run's name or folder.
    """
    from dataclasses import asdict

    from humanmade import files, looks
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation.inference import run_logits
    from humanmade.run import Run

    run = Run.find(run_name)
    files.refuse_existing(out, force)
    table = manifest.load(data, keep_test_labels=True)
    if len(data) > 1 and not split:
        evaluation.refuse_mixture(table)
    rows = evaluation.readable(inventory.attach(evaluation.labelled_rows(table, split), skip_broken))
    evaluation.warn_of_training_rows(run, rows)
    logits = run_logits(run, rows)
    scores = evaluation.evaluate(rows, logits, prevalence)
    if out:
        evaluation.save(out, rows, logits)
    values = asdict(scores)
    number, sentence = looks.count("evaluate", data, rows, run.recipe.name, [run], values)
    tell(f"{evaluation.as_text(scores)}\n{sentence}", values | {"looks": number, "look": sentence})
