from pathlib import Path

from humanmade.commands._verb import PATH, as_json, data, option, skip_broken, tell, verb, weights

SHEET = Path("build/duplicates.png")


@verb("Judge", "humanmade audit --data data")
@data()
@weights
@option("--out PNG", "where near-duplicates are drawn side by side, if there are any", PATH, default=SHEET)
@skip_broken()
@as_json
def audit(data: tuple[Path, ...], out: Path, skip_broken: bool) -> None:
    """Say what gives the label away without a detector."""
    from humanmade.data import defaults, inventory, manifest
    from humanmade.evaluation import audit as auditing

    table = inventory.attach(manifest.load(defaults.data_or_demo(data).folders), skip_broken)
    result = auditing.audit(table)
    tell(auditing.as_text(result), {**vars(result), "verdict": result.verdict})
    drawn = auditing.draw_duplicates(out, result, table)
    if drawn:
        print(f"{out}: {drawn} of {len(result.duplicates)} near-duplicates side by side")
