from pathlib import Path

from humanmade.commands._verb import COUNT, PATH, argument, option, skip_broken, verb, weights


@verb("Other", "humanmade reconstruct photos build/aligned")
@argument("data", type=PATH, metavar="D")
@argument("out", type=PATH)
@option("--autoencoder NAME", "whose weights", default="taef2")
@option("--limit N", "the first N photos only", COUNT)
@skip_broken()
@weights
def reconstruct(data: Path, out: Path, autoencoder: str, limit: int | None, skip_broken: bool) -> None:
    """Write the generated counterpart of every photo of a folder, as a data folder with pairs.

    D is a data folder, whose human-made rows are taken; OUT is the data folder to write.
    """
    from humanmade.data import inventory, manifest
    from humanmade.detectors import counterparts

    table = inventory.attach(manifest.load([data]), skip_broken)
    pairs = counterparts.write_counterparts(table, limit, out, autoencoder)
    print(f"{out}: {len(pairs) // 2} photos with their counterparts, as a data folder with pairs")
