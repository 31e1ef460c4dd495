"""One file describes one experiment: recipes, their keys, and overrides.

A recipe is a flat TOML file. `detector` chooses the dataclass below whose fields are its keys;
any other key is refused with the nearest known one, so no option is ever read and ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from humanmade.errors import UserError
from humanmade.files import write_text

SHIPPED = Path(__file__).parent / "recipes"

Crop: TypeAlias = Literal["native", "resize", "squash"]
Split: TypeAlias = Literal["pairs", "source"]


R = TypeVar("R", bound="Recipe")


@dataclass(frozen=True)
class Recipe:
    """Keys of every detector."""

    detector: str
    name: str = "unnamed"
    """Name of the run folder; the file's name."""
    folds: int = 5
    fold_seed: int = 0
    split: Split = "pairs"
    seeds: list[int] = field(default_factory=lambda: [0])
    """The detector is trained once per seed; logits are averaged."""
    views: list[str] = field(default_factory=lambda: ["identity"])
    """Test-time views (`humanmade.images.views`), averaged as logits."""
    counterparts: list[float] = field(default_factory=list)
    """Scales at which every training photo is also shown beside its reconstruction; empty is off."""
    counterpart_photos: int = 2000
    """Photos that get counterparts, at most: making them costs time and about 10 bytes a pixel of cache."""
    real_fakes: bool = True
    """Train on the generated pictures of the data too, not on counterparts alone."""
    autoencoder: str = "taef2"
    """What reconstructs: `<name>_encoder.safetensors` and `<name>_decoder.safetensors`."""

    def check(self) -> None:
        """Refuse values that cannot work, naming the key."""
        require("/" not in self.name and self.name not in ("", ".", ".."), "name", self.name, "a plain name")
        require(self.folds >= 2, "folds", self.folds, "at least 2")
        require(len(self.seeds) > 0, "seeds", self.seeds, "at least one seed")
        require(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "no seed twice")
        for seed in [self.fold_seed, *self.seeds]:
            require(0 <= seed < 2**32, "seeds, fold_seed", seed, "0 to 4294967295")
        require(len(self.views) > 0, "views", self.views, "at least one view, such as identity")
        good = all(0.25 <= scale <= 2 for scale in self.counterparts)
        require(good, "counterparts", self.counterparts, "scales of 0.25 to 2")
        require(self.counterpart_photos >= 1, "counterpart_photos", self.counterpart_photos, "at least 1")
        good = self.real_fakes or len(self.counterparts) > 0
        require(good, "real_fakes", self.real_fakes, "true, or scales in counterparts")


@dataclass(frozen=True)
class PictureRecipe(Recipe):
    """Keys of the detectors that look at one square of each picture."""

    image_size: int = 224
    """Side of the square, in pixels."""
    crop: Crop = "native"
    workers: int = -1
    """Processes that decode pictures; -1 takes one a processor, at most four."""

    def check(self) -> None:
        super().check()
        require(16 <= self.image_size <= 2048, "image_size", self.image_size, "16 to 2048 pixels")
        require(self.workers >= -1, "workers", self.workers, "-1 or more")


@dataclass(frozen=True)
class TensorRecipe(PictureRecipe):
    """Keys of the detectors that compute on tensors."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"


@dataclass(frozen=True)
class BackboneRecipe(TensorRecipe):
    """Keys of the detectors that stand on a timm backbone."""

    backbone: str = "tf_efficientnet_lite0"
    """Any name of timm's registry, with its pretrained tag where it matters."""
    pretrained: bool = True
    inference_batch: int = 32

    def check(self) -> None:
        super().check()
        require(self.inference_batch >= 1, "inference_batch", self.inference_batch, "at least 1")


@dataclass(frozen=True)
class LinearHeadRecipe(PictureRecipe):
    """Keys of the detectors with a logistic regression on top."""

    head: Literal["logistic", "difference"] = "logistic"
    """Logistic regression, or its limit under strongest shrinkage: the difference of the class means."""
    shrinkage: list[float] = field(default_factory=lambda: [1e-4, 1e-3, 1e-2, 1e-1])
    """Values of the logistic regression's C; the inner folds choose among several."""
    inner_folds: int = 3
    histories: list[str] = field(default_factory=lambda: ["identity"])
    """Views (`humanmade.images.views`) under which the head sees each training picture: as it is, and
    after drawn histories of compression and scaling, both members of a pair alike."""

    def check(self) -> None:
        super().check()
        require(self.inner_folds >= 2, "inner_folds", self.inner_folds, "at least 2")
        require(len(self.histories) > 0, "histories", self.histories, "at least one view")
        good = len(self.shrinkage) > 0 and all(value > 0 for value in self.shrinkage)
        require(good, "shrinkage", self.shrinkage, "positive numbers")


@dataclass(frozen=True)
class TrainedRecipe(TensorRecipe):
    """Keys of the detectors that the training loop trains."""

    optimiser: str = "adamw"
    """Any name of timm's optimisers."""
    lr: float = 3e-4
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the one below; 1 is off."""
    schedule: Literal["cosine", "step", "poly"] = "cosine"
    epochs: int = 5
    warmup: float = 0.1
    """Share of all steps in which the learning rate rises from nearly 0."""
    batch_size: int = 32
    accumulate: int = 1
    """Batches whose gradients make one step."""
    clip_grad: float = 1.0
    """Largest norm of a step's gradient; 0 is off."""
    ema: float = 0.0
    """Decay of the weights' moving average, which then is what predicts; 0 is off."""
    swa: float = 0.0
    """Share of all steps, at the end, whose weights are averaged alike instead of by `ema`; 0 is off."""
    patience: int = 0
    """Epochs without a better selection score before a fold stops; 0 trains all epochs and keeps
    the last. Above 0, the best epoch is kept, so out-of-fold scores are slightly optimistic."""

    def check(self) -> None:
        super().check()
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2")
        require(self.accumulate >= 1, "accumulate", self.accumulate, "at least 1")
        require(0 < self.lr <= 100, "lr", self.lr, "above 0, at most 100")
        require(0 <= self.weight_decay <= 100, "weight_decay", self.weight_decay, "0 to 100")
        require(0 <= self.ema < 1, "ema", self.ema, "0 to below 1")
        require(0 <= self.swa < 1, "swa", self.swa, "a share of 0 to below 1")
        require(not (self.swa and self.ema), "swa", self.swa, "0 where ema is on: one average predicts")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "a share of 0 to below 1")
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "above 0, at most 1")
        require(self.patience >= 0, "patience", self.patience, "0 or more epochs")
        require(self.clip_grad >= 0, "clip_grad", self.clip_grad, "0 or more")


@dataclass(frozen=True)
class NetworkRecipe(BackboneRecipe, TrainedRecipe):
    """A timm network, fine-tuned."""

    drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    """Stochastic depth."""
    label_smoothing: float = 0.0
    scale_range: list[float] = field(default_factory=lambda: [1.0, 1.0])
    """Random resizing before the training crop."""
    flips: bool = True
    chain: int = 0
    """Most degradations (compression, resizing, blur, noise, colour) that a training picture gets."""
    severity: float = 0.5
    """Strength of each degradation, 0 to 1."""
    reencode: bool = False
    """End every training picture in a JPEG of a drawn quality, both classes and pair members alike."""
    consistency: float = 0.0
    """Weight of the squared difference between the logits of a picture clean and degraded; 0 is off."""
    pair_sync: bool = True
    """Both members of a pair share a batch and every random draw."""
    balance: bool = False
    """Show the pictures of rare sources more often."""
    lora: int = 0
    """Rank of the corrections that a transformer learns instead of its weights; 0 trains the weights."""

    def check(self) -> None:
        super().check()
        require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "below 1")
        for key, rate in (("drop_rate", self.drop_rate), ("drop_path_rate", self.drop_path_rate)):
            require(0 <= rate < 1, key, rate, "0 to below 1")
        require(0 <= self.consistency <= 100, "consistency", self.consistency, "0 to 100")
        good = not self.consistency or (self.chain > 0 and self.severity > 0)
        require(good, "consistency", self.consistency, "a chain of degradations to be consistent under")
        require(0 <= self.lora <= 256, "lora", self.lora, "0 to 256")
        require(0 <= self.chain <= 5, "chain", self.chain, "0 to 5 degradations")
        require(0 <= self.severity <= 1, "severity", self.severity, "0 to 1")
        low, high = self.scale_range if len(self.scale_range) == 2 else (0.0, 0.0)
        require(0.1 <= low <= high <= 4, "scale_range", self.scale_range, "two numbers in 0.1 to 4")


@dataclass(frozen=True)
class ProbeRecipe(BackboneRecipe, LinearHeadRecipe):
    """A frozen timm backbone with a linear head on pooled features of several depths."""

    layers: list[int] = field(default_factory=list)
    """Depths whose features are pooled, counted from 0, negative from the end; empty takes all."""
    pool: Literal["mean", "mean_std"] = "mean"


@dataclass(frozen=True)
class SpectrumRecipe(LinearHeadRecipe):
    """Residual and frequency statistics with a linear and a boosted head."""

    boosted: bool = True
    """Average the linear head's logits with those of gradient-boosted trees."""
    shrinkage: list[float] = field(default_factory=lambda: [1e-3, 1e-2, 1e-1, 1.0])


@dataclass(frozen=True)
class ReconstructionRecipe(TensorRecipe, LinearHeadRecipe):
    """What a pretrained autoencoder does to a picture, with a linear head."""

    shrinkage: list[float] = field(default_factory=lambda: [1e-3, 1e-2, 1e-1, 1.0])

    def check(self) -> None:
        super().check()
        require(self.image_size % 8 == 0, "image_size", self.image_size, "a multiple of 8")


@dataclass(frozen=True)
class VaeRecipe(TrainedRecipe, LinearHeadRecipe):
    """A variational autoencoder of human-made pictures, its errors calibrated by a linear head."""

    width: int = 32
    """Channels of the first level; each level below has twice as many."""
    latent: int = 8
    """Channels of a latent position."""
    beta: float = 1.0
    """Weight of the KL term; 1 is the evidence bound."""
    shrinkage: list[float] = field(default_factory=lambda: [1e-3, 1e-2, 1e-1, 1.0])

    def check(self) -> None:
        super().check()
        require(self.image_size % 8 == 0, "image_size", self.image_size, "a multiple of 8")
        require(self.width >= 8 and self.width % 8 == 0, "width", self.width, "a multiple of 8")
        require(self.latent >= 1, "latent", self.latent, "at least 1")
        require(0 <= self.beta <= 1000, "beta", self.beta, "0 to 1000")


@dataclass(frozen=True)
class EnsembleRecipe(Recipe):
    """Several recipes trained on each fold, their logits fused. Members bring their own views."""

    members: list[str] = field(default_factory=list)
    """Recipes, shipped or by path; the ensemble's folds, seeds and split hold for all."""
    method: Literal["mean", "sources", "weights", "climb", "stack"] = "mean"
    """How logits are weighed (`humanmade.fusion`). All but `mean` train members more often, to learn: on all
    sources but a generator and a photo source, in turn, five times at most, where the data names two of
    each, else on three quarters. `sources` learns from the former alone, on pictures as they are, and is
    `mean` without."""

    steady: bool = True
    """Leave out members whose logits re-encoding moves farther than the class does."""

    def check(self) -> None:
        super().check()
        require(
            len(set(self.members)) == len(self.members) >= 2, "members", self.members, "two or more recipes"
        )
        require("inner" not in self.member_names, "members", "inner", "another name")
        for name in self.members:
            kind = read_values(_find(name)).get("detector")
            require(kind != "ensemble", "members", name, "no ensemble in an ensemble")
            load(name)
        require(not self.counterparts, "counterparts", self.counterparts, "none: members have their own")

    @property
    def member_names(self) -> list[str]:
        """Names of the members' folders and files."""
        return [Path(name).stem for name in self.members]


KINDS: dict[str, type[Recipe]] = {
    "network": NetworkRecipe,
    "probe": ProbeRecipe,
    "spectrum": SpectrumRecipe,
    "reconstruction": ReconstructionRecipe,
    "vae": VaeRecipe,
    "ensemble": EnsembleRecipe,
}


def require(good: bool, key: str, found: object, expected: str) -> None:
    """Raise a UserError naming the key unless its value is good."""
    if not good:
        raise UserError(f"recipe: {key} = {json.dumps(found)}; expected {expected}")


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a recipe file by path, and apply `key=value` overrides.

    Raises:
        UserError: no such recipe, an unknown key, or a value of the wrong type or range.
    """
    path = _find(name)
    values = read_values(path)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected key=value, such as lr=1e-4")
        values[key.strip()] = _literal(text.strip())
    return build({"name": path.stem} | values, str(path.name))


def _find(name: str) -> Path:
    """The file of a recipe by name or by path."""
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if not path.is_file():
        raise UserError(f"recipe '{name}': not found{_nearest(name, shipped())}; {_choices()}")
    return path


RETIRED: dict[str, Any] = {"counterpart_blend": 0.0, "counterpart_compression": 0.0, "inner_split": "groups"}
"""Keys of older kits that are gone, and the value at which they did nothing."""

RENAMED = {"training_views": "histories"}


def read_values(path: Path) -> dict[str, Any]:
    """The keys that stand in a recipe's file, unchecked; those of older kits under their present names.

    Raises:
        UserError: it is not TOML, or uses an option that is gone.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML ({error})") from None
    for key, nothing in RETIRED.items():
        if values.pop(key, nothing) != nothing:
            raise UserError(f"{path}: uses {key}, which the kit no longer has; train anew without it")
    return {RENAMED.get(key, key): value for key, value in values.items()}


def build(values: dict[str, Any], where: str) -> Recipe:
    """Make a checked recipe of plain values; `where` names their origin in errors."""
    detector = values.get("detector")
    if not isinstance(detector, str) or detector not in KINDS:
        raise UserError(f"{where}: detector = {detector!r}; known: {', '.join(KINDS)}")
    hints = typing.get_type_hints(KINDS[detector])
    for key in values:
        if key not in hints:
            raise UserError(f"{where}: detector '{detector}' has no key '{key}'{_nearest(key, list(hints))}")
    typed = {key: _typed(value, hints[key], where, key) for key, value in values.items()}
    recipe = KINDS[detector](**typed)
    recipe.check()
    return recipe


def change(recipe: R, **values: Any) -> R:
    """Copy a recipe with some values replaced, checked again."""
    changed = dataclasses.replace(recipe, **values)
    changed.check()
    return changed


def shipped() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def to_toml(recipe: Recipe) -> str:
    """Write a recipe out in full; JSON's scalars and lists are TOML's."""
    values = dataclasses.asdict(recipe)
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def save(recipe: Recipe, path: Path) -> None:
    """Write a recipe, every key resolved."""
    write_text(path, to_toml(recipe))


def difference(old: Recipe, new: Recipe) -> str | None:
    """Name the first key in which two recipes differ, with both values; None where none does."""
    before, after = dataclasses.asdict(old), dataclasses.asdict(new)
    for key in [*before, *(key for key in after if key not in before)]:
        if before.get(key) != after.get(key):
            return f"{key}: {json.dumps(before.get(key))} there, {json.dumps(after.get(key))} now"
    return None


def _literal(text: str) -> Any:
    """Read an override's value as TOML; what is none (a bare word) is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _typed(value: Any, hint: Any, where: str, key: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise UserError(f"{where}: {key} = {value!r}; known: {', '.join(map(str, arguments))}")
        return value
    if origin is list:
        # --set views=hflip and --set seeds=3 mean a list of one.
        items = value if isinstance(value, list) else [value]
        return [_typed(item, arguments[0], where, key) for item in items]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: {key} = {value}; expected a finite number")
    if type(value) is not hint:
        expected = hint.__name__ if isinstance(hint, type) else str(hint)
        raise UserError(f"{where}: {key} = {value!r} is {type(value).__name__}, not {expected}")
    return value


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def _choices() -> str:
    return f"shipped recipes: {', '.join(shipped())}, or give the path of a .toml file"


def with_options(
    name: str, settings: Sequence[str], folds: int | None, split: str | None, seed: int | None
) -> Recipe:
    """A recipe with `key=value` settings, and with keys that have options of their own.

    Raises:
        UserError: as `load`, or a number of folds for a source split.
    """
    options = {"folds": folds, "split": split, "seeds": seed}
    changes = [f"{key}={value}" for key, value in options.items() if value is not None]
    recipe = load(name, [*settings, *changes])
    if folds is not None and recipe.split == "source":
        raise UserError("--folds: a source split has as many folds as the data has sources; leave it out")
    return recipe
