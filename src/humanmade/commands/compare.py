from pathlib import Path

from humanmade import places
from humanmade.commands._verb import PATH, argument, force, option, verb


@verb("Judge", "humanmade compare probe_lite0 demo")
@argument("names", nargs=-1, metavar="[RUN]...")
@option("--out CSV", "where the table is saved", PATH, default=places.COMPARISON)
@force
def compare(names: tuple[str, ...], out: Path, force: bool) -> None:
    """Print the fold scores of runs side by side, and save them.

    RUN is a run's name or folder (default: all in runs/).
    """
    from humanmade import files, ledger
    from humanmade.evaluation import compare as comparing
    from humanmade.run import Run

    files.refuse_existing(out, force or out == places.COMPARISON)
    table, text = comparing.report(Run.find_all(names), ledger.read())
    print(text)
    files.write_csv(out, table)
    print(f"saved as {out}")
