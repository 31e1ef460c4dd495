from pathlib import Path

from humanmade.choices import MAPS
from humanmade.commands._verb import PATH, argument, data, force, option, skip_broken, verb, weights


@verb("Judge", "humanmade explain efficientnet_lite0 --data data --method layercam")
@argument("run_name", metavar="RUN")
@data()
@option("--method", "how a network's maps are made; a probe's are exact", [*MAPS], default="gradcam")
@option("--out PNG", "the sheet", PATH, show_default="in the run folder")
@skip_broken()
@force
@weights
def explain(
    run_name: str, data: tuple[Path, ...], method: str, out: Path | None, skip_broken: bool, force: bool
) -> None:
    """Draw where a run looks: worst mistakes, surest hits, most doubtful pictures, per source.

    RUN is a run's name or folder. Without --data the pictures are of the data that it was trained on.
    """
    from humanmade import files
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import evaluate as evaluation
    from humanmade.evaluation import explain as explaining
    from humanmade.run import Run

    run = Run.find(run_name)
    method = explaining.map_method(run, method)
    files.refuse_existing(out, force)
    out = out or run.folder / f"explain-{method}.png"
    table = manifest.load(run.data_folders(data), keep_test_labels=True)
    rows = evaluation.readable(inventory.attach(explaining.rows_to_explain(table), skip_broken))
    for line in explaining.draw(run, rows, method, out):
        print(line)
