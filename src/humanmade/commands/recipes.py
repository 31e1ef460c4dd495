import click

from humanmade.commands._verb import argument, as_json, in_json, option, tell, verb

TAKES = {"": 0, "show": 1, "diff": 2, "new": 1}
"""How many names follow."""


@verb("Train", "humanmade recipes new mine --from probe_lite0")
@argument("action", required=False, default="", metavar="[show|diff|new]")
@argument("names", completes="recipe", nargs=-1, metavar="[NAME]...")
@option("--from R", "with new: the recipe to begin from", name="source")
@option("--for", "list those for this machine alone", ["CPU", "GPU"], name="machine")
@as_json
def recipes(action: str, names: tuple[str, ...], source: str | None, machine: str | None) -> None:
    """List the shipped recipes; show one in full, or how two differ; begin one of your own.

    \b
    recipes            what each is, CPU or GPU, and as far as known time, memory, scores, weights
    recipes show R     every key of R, as TOML
    recipes diff A B   the keys in which they differ, A's value and B's
    recipes new NAME --from R   write NAME.toml with every key of R, to be changed

    R, A and B are a shipped recipe's name or a .toml file.
    """
    from humanmade import recipe as kit

    _refuse(action, len(names), source, machine)
    if action == "new":
        assert source, "refused before"
        path = kit.write_new(names[0], source)
        print(f"{path}: every key of {source}; change it, then: humanmade cv {path}")
    elif action == "show":
        one = kit.load(names[0])
        tell(kit.to_toml(one), one.model_dump())
    elif action == "diff":
        found = kit.differences([kit.load(name) for name in names])
        tell(kit.difference_table(names, found), found)
    else:
        listed = [one for one in map(kit.summary, kit.shipped()) if machine in (None, one["machine"])]
        tell(kit.listing(listed), listed)


def _refuse(action: str, names: int, source: str | None, machine: str | None) -> None:
    """Refuse what does not go together, before anything is read."""
    if action not in TAKES:
        raise click.UsageError(f"'{action}' is not show, diff or new.")
    if names != TAKES[action]:
        raise click.UsageError(f"recipes {action}: takes {TAKES[action]} names, not {names}.")
    if (source is None) == (action == "new"):
        raise click.UsageError("--from R goes with new, and new needs it.")
    if machine and action:
        raise click.UsageError(f"--for chooses among the recipes that are listed; leave out {action}, or it.")
    if in_json() and action == "new":
        raise click.UsageError("--json does not go with new, which writes a file.")
