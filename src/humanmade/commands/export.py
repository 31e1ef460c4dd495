from pathlib import Path

from humanmade.commands._verb import PATH, argument, force, option, verb, weights


@verb("Other", "humanmade export probe_lite0 --out model.onnx")
@argument("run_name", metavar="RUN")
@option("--out ONNX", "the file to write", PATH, required=True)
@force
@weights
def export(run_name: str, out: Path, force: bool) -> None:
    """Write a run as one ONNX file, from squares of pixels to a logit, checked against the run.

    RUN is a run's name or folder.
    """
    from humanmade import files
    from humanmade.run import Run

    run = Run.find(run_name)
    files.refuse_existing(out, force)
    from humanmade.evaluation import export as exporting

    for line in exporting.export(run, out):
        print(line)
