from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from humanmade.commands._verb import (
    PATH,
    argument,
    as_json,
    data,
    force,
    in_json,
    option,
    skip_broken,
    tell,
    verb,
    weights,
)

if TYPE_CHECKING:
    import pandas as pd

    from humanmade.api import Trained


@verb("Submit", "humanmade predict probe_lite0 photo.jpg holiday/")
@argument("run_name", metavar="RUN")
@argument("pictures", nargs=-1, metavar="[PICTURE|FOLDER|-]...")
@data()
@option("--out CSV", "where verdicts go, or id,logit of --data; - for standard output", PATH)
@as_json
@option("--explain", "also draw where the detector looks: explain-<name>.png, beside --out or here")
@skip_broken("pictures of --data that cannot be read get the median")
@force
@weights
def predict(
    run_name: str,
    pictures: tuple[str, ...],
    data: tuple[Path, ...],
    out: Path | None,
    explain: bool,
    skip_broken: bool,
    force: bool,
) -> None:
    """Say whether pictures are human-made or generated, or write a data folder's logits.

    RUN is a run's name or folder. With - names are read from standard input, one a line.
    With --out CSV and no pictures named, logits of --data are written (of its test rows where it has any), or
    of the data that the run was trained on.
    """
    from humanmade import api, files
    from humanmade.errors import UserError
    from humanmade.evaluation import verdicts
    from humanmade.training.distributed import process_group

    if pictures and data:
        raise UserError("predict: name either pictures and folders, or --data D with its --out CSV")
    run = api.load(run_name)
    files.refuse_existing(out, force)
    if not pictures:
        if in_json() or explain or not out:
            raise UserError("predict: name pictures or folders, or write logits of --data with --out CSV")
        logits = run.logits(data, skip_broken)
        if process_group().leads:
            _write(out, logits, f"logits of {len(logits)} pictures")
        return
    if in_json() and out:
        raise UserError("predict: --json prints and --out writes a CSV; leave one of them out")
    table = run.predict(pictures)
    if out:
        _write(out, table, f"verdicts on {len(table)} pictures")
    else:
        tell(verdicts.as_text(table), table)
    if explain:
        _explain(run, table, out, force)


def _write(out: Path, table: pd.DataFrame, what: str) -> None:
    from humanmade import files

    if str(out) == "-":
        print(table.to_csv(index=False, lineterminator="\n"), end="")
    else:
        files.write_csv(out, table)
        print(f"{out}: {what}")


def _explain(run: Trained, table: pd.DataFrame, out: Path | None, force: bool) -> None:
    from humanmade.progress import warn

    if not run.has_maps:
        warn(f"{run.name}: a '{run.recipe.detector}' detector has no heat maps; networks and probes have")
        return
    for place in run.explain(table, out.parent if out else ".", force=force):
        # Standard output may be read by a machine.
        print(place, file=sys.stderr)
