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

    RUN is a run's name or folder (default: all in runs/). Without --data the audit is of the data that
    the runs share.
    """
    from humanmade import api

    print(f"{api.report(out, names, data, skip_broken)}: open it in a browser")
