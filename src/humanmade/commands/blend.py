from pathlib import Path

from humanmade.choices import FUSIONS
from humanmade.commands._verb import PATH, SHARE, THRESHOLD, argument, data, force, option, verb
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
    from humanmade import files
    from humanmade.data import manifest
    from humanmade.errors import UserError
    from humanmade.evaluation import blend as blending
    from humanmade.evaluation import worth
    from humanmade.evaluation.member import read_member
    from humanmade.run import shared_folders

    files.refuse_existing(out, force)
    cut = blending.Cut(prevalence, threshold)
    members = [read_member(name) for name in names]
    logits = blending.blend(members, method)
    try:
        folders = data or shared_folders([member.run for member in members if member.run])
    except UserError as error:
        folders = ()
        print(f"not checked against a test.csv: {error}")
    if folders:
        logits = blending.in_order(logits, manifest.load(folders, pictures=False))
    labels, how = blending.labelled(members, method, logits, cut)
    scores = blending.scores(members, method, len(logits))
    for line in blending.submit(members, method, logits, labels, how, out, scores):
        print(line)
    for line in worth.lines(members, method, scores, dict(zip(logits.index, labels, strict=True))):
        print(line)
