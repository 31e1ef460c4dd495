"""Pretrained weights: found offline first, loaded strictly, never silently random."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from humanmade import places, pretrained
from humanmade.detectors import timm_models  # noqa: F401 - registers its networks
from humanmade.errors import UserError, out_of_memory, reason
from humanmade.files import whole_file
from humanmade.schema import BackboneRecipe

LITES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
"""Networks whose ImageNet weights a package on the index ships."""


def create_backbone(
    name: str, pretrained: bool, image_size: int, num_classes: int, **options: Any
) -> torch.nn.Module:
    """Make a timm model, with weights from the first place that has them.

    Args:
        name: in timm's registry, with its tag where several sets of weights exist.
        image_size: side of its input; position grids are resampled to it.
        num_classes: outputs of a new head; 0 leaves pooled features.
        options: for timm, such as `drop_path_rate`.

    Raises:
        UserError: an unknown name, no weights anywhere, or weights that do not fit.
    """
    if pretrained_settings(name)["fixed_input_size"]:
        options["img_size"] = image_size
    try:
        if not pretrained:
            return timm.create_model(name, pretrained=False, num_classes=num_classes, **options)
        file, searched = find_weights(name)
        network = _from_hub(name, searched, options) if file is None else _from_file(name, file, options)
    except TypeError as error:
        raise UserError(f"recipe: {name} cannot be made with {options} ({error})") from None
    if network.num_classes != num_classes:
        network.reset_classifier(num_classes)
    return network


@contextlib.contextmanager
def in_one_line(recipe: BackboneRecipe) -> Iterator[None]:
    """Say in one line why a network cannot be used as its recipe wants, whatever timm ends in there."""
    try:
        yield
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error):
            raise
        where = f"{recipe.backbone} cannot be used at image_size = {recipe.image_size}"
        raise UserError(f"recipe: {where} ({reason(error)})") from None


def pretrained_settings(name: str) -> dict[str, Any]:
    """What timm knows of a model: `mean`, `std`, `fixed_input_size`, `input_size`, `license`.

    Raises:
        UserError: timm has no such model.
    """
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        near = timm.list_models(f"*{architecture[:12]}*")[:5]
        raise UserError(f"recipe: backbone '{name}' is not in timm; similar: {', '.join(near) or 'none'}")
    try:
        settings = timm.get_pretrained_cfg(name)
    except RuntimeError:
        settings = None
    if settings is None:
        raise UserError(f"recipe: backbone '{architecture}' has no weights tagged '{name.split('.')[-1]}'")
    return dict(settings.to_dict())


def input_facts(recipe: BackboneRecipe) -> dict[str, Any]:
    """What a backbone's answer depends on besides its weights."""
    settings = pretrained_settings(recipe.backbone)
    return {
        "backbone": recipe.backbone,
        "image_size": recipe.image_size,
        "crop": recipe.crop,
        "mean": list(settings["mean"]),
        "std": list(settings["std"]),
    }


def find_weights(name: str) -> tuple[Path | None, list[str]]:
    """Look for `<name>.safetensors` offline; also tell where it was looked for."""
    folders, names = pretrained.folders(), _file_names(name)
    searched = [f"{folder} (no {' or '.join(names)})" for folder in folders]
    file = next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)
    architecture = name.split(".")[0]
    if file is None and architecture in LITES:
        file = _lite_from_package(architecture)
        searched.append(f"package {_distribution(architecture)} (not installed)")
    return file, searched


def _file_names(name: str) -> list[str]:
    """The names a weights file may have: with the tag first (timm's default one if none is given)."""
    architecture, _, tag = name.partition(".")
    tag = tag or pretrained_settings(name).get("tag") or ""
    tagged = [f"{architecture}.{tag}.safetensors"] if tag else []
    return [*tagged, f"{architecture}.safetensors"]


def _lite_from_package(name: str) -> Path | None:
    """Weights of a package on the index, under timm's names: its tensors are timm's, in timm's order."""
    try:
        package = importlib.import_module(pretrained.package(name))
    except ImportError:
        return None
    path = places.cache("weights") / f"{name}.safetensors"
    if not path.is_file():
        file = getattr(package, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
        tensors = list(torch.load(file, weights_only=True).values())
        names = timm.create_model(name, pretrained=False).state_dict()
        if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in names.values()]:
            raise UserError(f"package {_distribution(name)}: its tensors are not timm's; install 0.1.0")
        with whole_file(path) as scratch:
            save_file({key: t.contiguous() for key, t in zip(names, tensors, strict=True)}, scratch)
    return path


def _distribution(name: str) -> str:
    return pretrained.package(name).replace("_", "-")


def _from_file(name: str, file: Path, options: dict[str, Any]) -> Any:
    """Make the model with the file's own head, or with none if it has none.

    timm loads without checking names when the number of classes differs from the weights' own, so
    the head is changed only after everything was matched.
    """
    settings = pretrained_settings(name)
    heads = settings["classifier"] or ()
    heads = (heads,) if isinstance(heads, str) else heads
    try:
        with safe_open(file, "pt") as tensors:
            headed = any(f".{head}." in f".{key}" for key in tensors.keys() for head in heads)  # noqa: SIM118
        classes = settings["num_classes"] if headed else 0
        overlay = {"file": str(file), "num_classes": classes}
        return timm.create_model(
            name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay, **options
        )
    except (RuntimeError, OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{file}: these weights do not fit {name} ({str(error)[:300]})") from None


def _from_hub(name: str, searched: list[str], options: dict[str, Any]) -> Any:
    """Let timm download, where that can work."""
    looked = f"Looked in: {', '.join(searched)}"
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        raise UserError(
            f"no weights for {name} among the kernel's inputs (internet is off there); "
            f"humanmade weights push {name} makes a dataset of them. {looked}"
        )
    try:
        return timm.create_model(name, pretrained=True, **options)
    # The hub client raises errors of whichever HTTP library it uses; to the user they are one.
    except Exception as error:
        said = reason(error)[:200]
        raise UserError(
            f"no weights for {name}: put the file into one of these places, or set pretrained = false. "
            f"{looked}, timm's download ({said})"
        ) from None
