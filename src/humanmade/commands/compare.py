from pathlib import Path

from humanmade import places
from humanmade.commands._verb import PATH, argument, as_json, force, option, tell, verb


@verb("Judge", "humanmade compare probe_lite0 demo")
@argument("names", nargs=-1, metavar="[RUN|CSV]...")
@option("--out CSV", "where the table is saved", PATH, default=places.COMPARISON)
@force
@as_json
def compare(names: tuple[str, ...], out: Path, force: bool) -> None:
    """Rank runs and blends side by side, tell which differ beyond noise, and save the table.

    RUN is a run's name or folder, CSV a blend's submission (default: all in runs/ and submissions/).
    """
    from humanmade import files, ledger
    from humanmade.evaluation import compare as comparing
    from humanmade.evaluation import entries

    files.refuse_existing(out, force or out == places.COMPARISON)
    table, text = comparing.report(entries.find(names), ledger.read())
    tell(text, table)
    files.write_csv(out, table)
    print(f"saved as {out}")
