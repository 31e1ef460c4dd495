from pathlib import Path

from humanmade.commands._verb import PATH, argument, data, option, skip_broken, verb, weights

PAGE = Path("runs/report.html")


@verb("Judge", "humanmade report --data data --out report.html")
@argument("names", nargs=-1, metavar="[RUN]...")
@option("--out HTML", "the page to write, anew each time", PATH, default=PAGE)
@data()
@skip_broken()
@weights
def report(names: tuple[str, ...], out: Path, data: tuple[Path, ...], skip_broken: bool) -> None:
    """Write one HTML page: the audit, runs side by side, folds, curves, maps, the leaderboard.

    RUN is a run's name or folder (default: all in runs/).
    """
    from humanmade import files, ledger
    from humanmade.data import inventory, manifest
    from humanmade.evaluation import report as reporting
    from humanmade.run import Run

    runs = Run.find_all(names)
    table = inventory.attach(manifest.load(data), skip_broken) if data else None
    files.write_text(out, reporting.report(runs, ledger.read(), table))
    print(f"{out}: {len(runs)} runs{' and the audit' if data else ''}; open it in a browser")
