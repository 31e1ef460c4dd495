from pathlib import Path

from humanmade.choices import FUSIONS
from humanmade.commands._verb import (
    PATH,
    SHARE,
    THRESHOLD,
    argument,
    as_json,
    data,
    force,
    option,
    tell,
    verb,
)
from humanmade.competition import CURRENT


@verb("Submit", "humanmade blend probe_lite0 efficientnet_lite0 --out submissions/two.csv")
@argument("names", nargs=-1, required=True, metavar="RUN|CSV...")
@option("--method", "fusion; the last three learn weights from held-out logits", [*FUSIONS], default="mean")
@option("--out CSV", "the submission to write", PATH, required=True)
@data()
@option(
    "--prevalence p",
    "cut by rank at this share of generated pictures",
    SHARE,
    show_default=f"{CURRENT.prevalence}",
)
@option("--threshold t|oof", "cut at this blended logit, or where out-of-fold F1 is best", THRESHOLD)
@force
@as_json
def blend(
    names: tuple[str, ...],
    method: str,
    out: Path,
    data: tuple[Path, ...],
    prevalence: float | None,
    threshold: float | str | None,
    force: bool,
) -> None:
    """Blend runs, or CSVs of logits, into a checked submission, and tell what the blend is worth.

    RUN is a run's name or folder, CSV a file with id,logit. Without --data ids are checked against the data
    that the runs were trained on.
    """
    from humanmade import api

    made = api.blend(
        names, out, method=method, data=data, prevalence=prevalence, threshold=threshold, force=force
    )
    tell(str(made), made)
