from pathlib import Path

from humanmade.commands._verb import PATH, argument, verb


@verb("Other", "humanmade demo build/demo")
@argument("folder", type=PATH, metavar="DIR")
def demo(folder: Path) -> None:
    """Write the embedded demo competition.

    DIR is a folder that does not exist yet.
    """
    from humanmade.data.demo import HIDDEN, make

    make(folder)
    print(f"{folder}: the demo competition; try: humanmade cv demo --data {folder}")
    print(f"{folder / HIDDEN}: its test pictures with labels, for: humanmade evaluate")
