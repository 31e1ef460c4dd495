"""Where a detector looks: heat maps, contact sheets, and a check that the maps mean anything."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from PIL import Image
from torch import nn

from humanmade import detectors
from humanmade.data.loader import ViewDataset
from humanmade.detectors.base import PictureDetector
from humanmade.errors import UserError
from humanmade.evaluation import sheet
from humanmade.evaluation.evaluate import labelled_rows
from humanmade.evaluation.inference import honest_logits
from humanmade.evaluation.sheet import Cell
from humanmade.files import whole_file
from humanmade.images.decode import Picture
from humanmade.metrics import NAMES
from humanmade.progress import progress
from humanmade.run import SCORES, Run
from humanmade.sensitivity import MOST

Map = npt.NDArray[np.float32]
"""(size, size) of 0 to 1: how much each place speaks for what the detector says."""

Draw = Callable[[torch.Tensor], Map]
Reshape = Callable[[torch.Tensor], torch.Tensor]

GROUPS = ("worst mistakes", "surest hits", "most doubtful")
PER_GROUP = 3
SANITY_ROWS = 6
"""Pictures whose maps are compared with those of random weights."""

SANE = 0.5
"""Rank correlation of the maps with those of random weights, above which they show the picture's
edges rather than what was learned."""


def caution(run: Run) -> list[str]:
    """What to keep in mind of a detector that re-encoding moves farther than the class does, if it does."""
    steadiness = run.scores.steadiness if (run.folder / SCORES).is_file() else None
    if steadiness is None or steadiness.sensitivity <= MOST:
        return []
    return [
        f"caution: re-encoding moves this detector's logits {steadiness.sensitivity:.1f} times as far as the "
        "class does, so the maps may show a file's history; compare them on a recompressed copy"
    ]


def rows_to_explain(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a data folder that are labelled: the test rows, or the train rows where those are not."""
    split = "train" if (table.loc[table["split"] == "test", "label"] < 0).any() else None
    return labelled_rows(table, split)


def map_method(run: Run, method: str) -> str:
    """The method by which a run's maps are made: a probe's are exact, whichever is wanted.

    Raises:
        UserError: its detector has no maps.
    """
    return "exact" if mapped(run).maps == "exact" else method


def draw(run: Run, rows: pd.DataFrame, method: str, out: Path) -> list[str]:
    """Draw the maps of chosen labelled rows on a sheet; what was drawn, and whether to trust it, in lines."""
    chosen = select(honest_logits(run, rows))
    maps, squares = explain(run, chosen, method)
    title = (
        f"{run.name}, {method}: pictures above, below them (bright) what speaks for the detector's word; "
        "logit (yellow: wrong at 0) and id"
    )
    contact_sheet(out, chosen, maps, squares, title)
    sanity = "sanity: the maps of a probe are exact parts of its logits"
    if method != "exact":
        correlation = randomised_correlation(run, chosen.head(SANITY_ROWS), method)
        verdict = "pass" if correlation < SANE else "FAIL: the maps show edges, not what was learned"
        sanity = f"sanity: rank correlation with maps of random weights {correlation:.2f} ({verdict})"
    drawn = f"{out}: {len(chosen)} pictures of {chosen['kind'].nunique()} sources"
    return [drawn, sanity, *caution(run)]


def map_files(pictures: Sequence[str], folder: Path) -> list[Path]:
    """Where the maps of pictures go: named by the picture, or by its whole path where two have one name."""
    stems = [Path(picture).stem for picture in pictures]
    names = [
        stem if stems.count(stem) == 1 else picture.strip("/").replace("/", "-")
        for stem, picture in zip(stems, pictures, strict=True)
    ]
    return [folder / f"explain-{name}.png" for name in names]


def draw_each(run: Run, rows: pd.DataFrame, method: str, places: Sequence[Path]) -> None:
    """Draw each row's picture, and beside it where the detector looks, into a file of its own."""
    for place, heat, square in zip(places, *explain(run, rows, method), strict=True):
        with whole_file(place) as scratch:
            Image.fromarray(np.hstack([square, _overlay(square, heat)])).save(scratch, format="PNG")


def select(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose rows of `label, source, logit` per source: the worst mistakes, surest hits and most doubtful.

    Returns:
        The chosen rows with `group` (of `GROUPS`) and `kind`, the source or else the label's name.
    """
    names = rows["label"].map(dict(enumerate(NAMES)))
    rows = rows.assign(kind=rows["source"].mask(rows["source"] == "", names))
    generated = rows["label"] == 1
    rows = rows.assign(
        support=rows["logit"].where(generated, -rows["logit"]), wrong=(rows["logit"] > 0) != generated
    )
    chosen = []
    for _, part in rows.groupby("kind", sort=True):
        wrong, right = part[part["wrong"]], part[~part["wrong"]]
        doubtful = part.loc[part["support"].abs().sort_values(kind="stable").index]
        picks = (wrong.sort_values("support", kind="stable"), right.sort_values("support")[::-1], doubtful)
        chosen += [pick.head(PER_GROUP).assign(group=g) for g, pick in zip(GROUPS, picks, strict=True)]
    return pd.concat(chosen, ignore_index=True)


def has_maps(run: Run) -> bool:
    """Whether the run's detector has places to show."""
    return bool(getattr(detectors.create(run.recipe), "maps", None))


def mapped(run: Run) -> PictureDetector:
    """The run's detector, if it has places to show.

    Raises:
        UserError: it has none.
    """
    detector = detectors.create(run.recipe)
    if isinstance(detector, PictureDetector) and detector.maps:
        return detector
    more = "; run its members on their own" if run.recipe.member_names else ""
    raise UserError(
        f"explain: a '{run.recipe.detector}' detector has no heat maps, networks and probes have{more}"
    )


def explain(run: Run, rows: pd.DataFrame, method: str) -> tuple[list[Map], list[Picture]]:
    """Heat maps of rows, and the squares they were made of.

    Args:
        rows: with `fold`, as `inference.known` gives it.

    Raises:
        UserError: the run's detector has no maps.
    """
    detector = mapped(run)
    squares = ViewDataset(rows, ["identity"], detector.frame)
    # One fold after the other, so that each fold's weights are read once.
    each = (
        (draw, index)
        for fold in rows["fold"].unique()
        for draw in [_drawer(detector, run.trainings(fold)[0][1], method)]
        for index in np.flatnonzero(rows["fold"] == fold).tolist()
    )
    maps = {i: draw(squares[i]) for draw, i in progress(each, "explaining", "pictures", len(rows))}
    shown = [squares[index][0].permute(1, 2, 0).numpy() for index in range(len(rows))]
    return [maps[index] for index in range(len(rows))], shown


def _drawer(detector: PictureDetector, folder: Path, method: str) -> Draw:
    """What makes the map of one picture (1, 3, size, size), by a fold's model."""
    if detector.maps == "exact":
        return lambda pixels: _evidence(*detector.patch_logits(folder, pixels), pixels.shape[-1])
    network = detector.network(folder)
    return lambda pixels: activation_map(network, pixels, method)


def _evidence(parts: list[torch.Tensor], rest: torch.Tensor, size: int) -> Map:
    """Add depths up at the picture's size; what speaks against the detector's word is cut off."""
    large = [
        F.interpolate(part[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]
        for part in parts
    ]
    total = torch.stack(large).sum(dim=0)[0]
    logit = float(sum(part.mean() for part in parts) + rest[0])
    # Depths have offsets of their own; only differences between places can be shown.
    evidence = ((total - total.mean()) * np.sign(logit)).clamp_min(0)
    return np.asarray(evidence / evidence.max().clamp_min(1e-9), np.float32)


def activation_map(network: nn.Module, pixels: torch.Tensor, method: str) -> Map:
    """Map (size, size) of one picture (1, 3, size, size) uint8 for what the network says of it."""
    try:
        import pytorch_grad_cam as cams
    except ImportError:
        raise UserError("explain needs the package grad-cam: pip install 'humanmade[explain]'") from None
    kinds = {"gradcam": cams.GradCAM, "hirescam": cams.HiResCAM, "layercam": cams.LayerCAM}
    network = network.float().cpu().eval()
    layer, reshape = target_layer(network.backbone)  # type: ignore[arg-type]
    picture = pixels.float() / 255
    with torch.no_grad():
        sign = 1.0 if float(network(picture)) > 0 else -1.0
    with kinds[method](model=network, target_layers=[layer], reshape_transform=reshape) as cam:
        return np.asarray(cam(input_tensor=picture, targets=[lambda out: sign * out[0]])[0], np.float32)


def target_layer(backbone: nn.Module) -> tuple[nn.Module, Reshape | None]:
    """The layer that maps are made of, and how its output becomes (n, channels, height, width)."""
    patches = getattr(backbone, "patch_embed", None)
    if patches is not None and hasattr(backbone, "blocks"):
        prefix, (height, width) = int(backbone.num_prefix_tokens), patches.grid_size  # type: ignore[arg-type]

        def from_tokens(tokens: torch.Tensor) -> torch.Tensor:
            grid = tokens[:, prefix:].unflatten(1, (height, width))
            return grid.permute(0, 3, 1, 2)

        return backbone.blocks[-1].norm1, from_tokens  # type: ignore[index, union-attr]
    if patches is not None and hasattr(backbone, "layers"):
        # Swin keeps its maps channels last.
        return backbone.layers[-1].blocks[-1].norm1, lambda maps: maps.permute(0, 3, 1, 2)  # type: ignore[index, union-attr]
    info = getattr(backbone, "feature_info", None)
    return backbone.get_submodule(info[-1]["module"] if info else "body"), None


def randomised_correlation(run: Run, rows: pd.DataFrame, method: str) -> float:
    """Mean rank correlation of maps with those of the same network with random weights.

    A method whose maps survive that shows the picture, not the network (Adebayo et al. 2018, "Sanity
    checks for saliency maps").
    """
    from scipy.stats import spearmanr

    detector = mapped(run)
    if detector.maps != "gradient":
        raise UserError("explain: only networks have weights to randomise; probes' maps are exact")
    squares = ViewDataset(rows, ["identity"], detector.frame)
    network = detector.network(run.trainings(rows["fold"].iloc[0])[0][1])
    random = copy.deepcopy(network)
    torch.manual_seed(0)
    for module in random.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=float(module.weight.detach().std()) or 0.02)
    correlations = []
    for index in range(len(rows)):
        first, second = (activation_map(model, squares[index], method) for model in (network, random))
        if first.std() > 0 and second.std() > 0:
            correlations.append(float(spearmanr(first[::4, ::4].ravel(), second[::4, ::4].ravel()).statistic))
    return float(np.mean(correlations)) if correlations else float("nan")


def contact_sheet(
    path: Path, rows: pd.DataFrame, maps: Sequence[Map], shown: Sequence[Picture], title: str
) -> None:
    """Draw chosen pictures above their maps: a row a source, `PER_GROUP` columns each of `GROUPS`."""
    drawn: dict[str, list[Cell | None]] = {}
    places = rows["group"].map(GROUPS.index) * PER_GROUP + rows.groupby(["kind", "group"]).cumcount()
    for row, place, heat, picture in zip(rows.to_dict("records"), places, maps, shown, strict=True):
        if row["kind"] not in drawn:
            drawn[row["kind"]] = [None for _ in range(len(GROUPS) * PER_GROUP)]
        said = f"{row['logit']:+.2f}\n{row['id']}"
        drawn[row["kind"]][place] = Cell((picture, _overlay(picture, heat)), said, row["wrong"])
    sheet.draw(path, [*drawn.items()], title, {PER_GROUP * k: group for k, group in enumerate(GROUPS)})


def _overlay(picture: Picture, heat: Map) -> Picture:
    colours = colormaps["inferno"](heat.clip(0, 1))[..., :3] * 255
    return np.asarray(picture * 0.45 + colours * 0.55).astype(np.uint8)
