from pathlib import Path

from humanmade.commands._verb import PATH, as_json, data, force, option, skip_broken, tell, verb, weights

SHEET = Path("build/duplicates.png")


@verb("Judge", "humanmade audit --data data")
@data()
@weights
@option(
    "--out PNG",
    "where near-duplicates are drawn side by side, if there are any",
    PATH,
    show_default=f"{SHEET}, anew each time",
)
@force
@skip_broken()
@as_json
def audit(data: tuple[Path, ...], out: Path | None, force: bool, skip_broken: bool) -> None:
    """Say what gives the label away without a detector."""
    from humanmade import files
    from humanmade.data import defaults, inventory, manifest
    from humanmade.evaluation import audit as auditing

    files.refuse_existing(out, force)
    table = inventory.attach(manifest.load(defaults.data_or_demo(data).folders), skip_broken)
    result = auditing.audit(table)
    tell(auditing.as_text(result), {**vars(result), "verdict": result.verdict})
    sheet = out or SHEET
    drawn = auditing.draw_duplicates(sheet, result, table)
    if drawn:
        print(f"{sheet}: {drawn} of {len(result.duplicates)} near-duplicates side by side")
