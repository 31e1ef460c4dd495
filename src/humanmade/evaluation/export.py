"""A run as one ONNX file: from squares of pixels to a logit, every fold, head and member included."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from humanmade import detectors, files
from humanmade.data.loader import ViewDataset
from humanmade.detectors.base import Detector
from humanmade.detectors.ensemble import FUSION, Ensemble
from humanmade.detectors.heads import load_head
from humanmade.detectors.network import Network
from humanmade.detectors.probe import Probe
from humanmade.errors import UserError
from humanmade.images.views import Frame
from humanmade.recipe import change
from humanmade.run import Run, retrain
from humanmade.schema import EnsembleRecipe, Recipe

OPSET = 18
SAMPLES = 4
"""Pictures on which the file is checked."""
CLOSE = 1e-3
"""How far its logits may be from the run's."""
PLAIN = {"views": ["identity"], "precision": "fp32"}
"""What the file computes: one view, in full precision."""

Weighted = Sequence[tuple[Path, float]]
"""Trained folders, each with the factor of its logit."""


class Sum(nn.Module):
    """Logits (n,) of squares (n, 3, size, size) of 0 to 255: a weighted sum of parts' logits."""

    def __init__(self, parts: Iterable[nn.Module], factors: Sequence[float], constant: float = 0.0) -> None:
        super().__init__()
        self.parts, self.factors, self.constant = nn.ModuleList(parts), factors, constant

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = [factor * part(pixels) for part, factor in zip(self.parts, self.factors, strict=True)]
        return torch.stack(logits).sum(dim=0) + self.constant


class NetworkPart(nn.Module):
    """The logit of a fine-tuned network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.float().cpu().eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.network(pixels.float() / 255))[:, 0]


class ProbePart(nn.Module):
    """The weighted sum of the logits of several heads on one backbone, which is one head."""

    slope: torch.Tensor

    def __init__(self, probe: Probe, folders: Weighted) -> None:
        super().__init__()
        self.probe, self.backbone = probe, probe.backbone.cpu()
        heads = [(load_head(folder, probe.facts), factor) for folder, factor in folders]
        slopes = [(head["weight"] / head["scale"], head, factor) for head, factor in heads]
        self.register_buffer("slope", torch.from_numpy(sum(f * slope for slope, _, f in slopes)).float())
        self.offset = float(sum(f * (head["bias"] - head["mean"] @ slope) for slope, head, f in slopes))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        # Heads are asked of features as the store keeps them.
        return self.probe.pooled(pixels).half().float() @ self.slope + self.offset


def export(run: Run, out: Path) -> list[str]:
    """Write a run as ONNX: input `pixels` (n, 3, size, size) uint8 RGB, output `logit` (n,).

    The squares are those of the recipe's crop, uncorrupted and unflipped; the logit is the mean over folds
    and seeds. Metadata name the run, the size and the crop.

    Returns:
        What was written and how it was checked, in lines.

    Raises:
        UserError: the extra `export` is not installed, the detector cannot be exported, no fold is
            finished, or the file's logits are not the run's.
    """
    detector = detectors.create(_plain(run.recipe))
    frame = _frame(detector, run.recipe.detector)
    try:
        import onnx
    except ImportError:
        raise UserError("export needs the package onnx: pip install 'humanmade[export]'") from None
    places = [place for key in run.finished() for _, place in run.trainings(key)]
    if not places:
        raise UserError(f"{run.folder}: no fold is finished; run cv again to continue it")
    module = _part(detector, [(place, 1 / len(places)) for place in places])
    with files.whole_file(out) as scratch:
        _write(module, frame, scratch)
        model = onnx.load(scratch)
        facts = {"run": run.name, "size": str(frame.size), "crop": frame.crop}
        onnx.helper.set_model_props(model, facts)
        onnx.save(model, scratch)
        checked = _check(scratch, detector, places, frame)
    return [
        f"{out}: pixels (n, 3, {frame.size}, {frame.size}) uint8, RGB, cut by '{frame.crop}'; logit (n,), "
        f"the mean of {len(places)} trainings",
        checked,
    ]


def _plain(recipe: Recipe) -> Recipe:
    """The recipe whose detector computes what the file does: one view, in full precision."""
    if isinstance(recipe, EnsembleRecipe):
        members = {name: _plain(member).model_dump() for name, member in recipe.members.items()}
        return change(recipe, members=members, views=PLAIN["views"])
    keys = type(recipe).model_fields
    return change(recipe, **{key: value for key, value in PLAIN.items() if key in keys})


def _frame(detector: Detector, name: str) -> Frame:
    """The one square that a detector looks at.

    Raises:
        UserError: it is of a kind that cannot be exported, or its members look at different squares.
    """
    if isinstance(detector, Ensemble):
        frames = {member: _frame(part, member) for member, part in detector.members.items()}
        if len(set(frames.values())) > 1:
            squares = ", ".join(f"{member} {frame.size} {frame.crop}" for member, frame in frames.items())
            raise UserError(
                f"export: the members look at different squares ({squares}); export their own runs"
            )
        return next(iter(frames.values()))
    if isinstance(detector, Network | Probe):
        return detector.frame
    raise UserError(f"export: '{name}' cannot be exported; networks, probes and ensembles of them can")


def _part(detector: Detector, folders: Weighted) -> nn.Module:
    """The weighted sum of a detector's logits by what it left in folders."""
    if isinstance(detector, Probe):
        return ProbePart(detector, folders)
    if isinstance(detector, Network):
        networks = (NetworkPart(detector.network(folder)) for folder, _ in folders)
        return Sum(networks, [factor for _, factor in folders])
    assert isinstance(detector, Ensemble)
    shares: dict[str, list[tuple[Path, float]]] = {name: [] for name in detector.members}
    constant = 0.0
    for folder, factor in folders:
        path = folder / FUSION
        facts = files.read_json(path, ("scales", "weights", "offset"), retrain(path))
        constant -= factor * facts["offset"]
        for name, scale, weight in zip(shares, facts["scales"], facts["weights"], strict=True):
            shares[name].append((folder / name, factor * weight / sum(facts["weights"]) / scale))
    parts = [_part(member, shares[name]) for name, member in detector.members.items()]
    return Sum(parts, [1.0] * len(parts), constant)


def _write(module: nn.Module, frame: Frame, path: Path) -> None:
    example = torch.zeros(2, 3, frame.size, frame.size, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        # The newer exporter needs two more packages and gives the same file; tracing warns of constants.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (example,),
            str(path),
            input_names=["pixels"],
            output_names=["logit"],
            dynamic_axes={"pixels": {0: "n"}, "logit": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _check(path: Path, detector: Detector, places: Sequence[Path], frame: Frame) -> str:
    """Compare the file's logits with the run's on made-up pictures; in words what was found."""
    try:
        import onnxruntime
    except ImportError:
        return "not checked: that needs onnxruntime, pip install 'humanmade[export]'"
    with tempfile.TemporaryDirectory() as folder:
        rows = _samples(Path(folder), frame.size)
        expected = np.mean([detector.logits(place, rows, ["identity"])[:, 0] for place in places], axis=0)
        dataset = ViewDataset(rows, ["identity"], frame)
        squares = np.concatenate([dataset[index].numpy() for index in range(SAMPLES)])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    apart = float(np.abs(session.run(None, {"pixels": squares})[0] - expected).max())
    if not apart <= CLOSE:
        raise UserError(f"export: the file's logits are {apart:.2g} from the run's, more than {CLOSE}")
    return f"checked with onnxruntime on {SAMPLES} pictures: at most {apart:.1g} from the run's, of one view"


def _samples(folder: Path, size: int) -> pd.DataFrame:
    """Rows of made-up pictures: clouds from smooth to fine, with what detectors ask of a row."""
    rng, rows = np.random.default_rng(0), []
    for number in range(SAMPLES):
        path = folder / f"{number}.png"
        cells = rng.integers(0, 256, (4 << number, 4 << number, 3), dtype=np.uint8)
        Image.fromarray(cells).resize((size + 40, size + 20), Image.Resampling.BICUBIC).save(path)
        rows.append({"id": path.name, "path": str(path), "digest": files.sha256(path)[:32]})
    return pd.DataFrame(rows).assign(pair="", label=-1, broken=False)
