"""The keys of recipes: a model for each detector, every key with its type, its limits and its meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

T = TypeVar("T")


def _as_list(value: object) -> object:
    """`--set views=hflip` and `--set seeds=3` mean a list of one."""
    return value if isinstance(value, list) else [value]


def _only(good: Callable[[Any], bool], expected: str) -> AfterValidator:
    """Refuse values that are not good, with what is expected instead."""

    def check(value: T) -> T:
        if not good(value):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


List: TypeAlias = Annotated[list[T], BeforeValidator(_as_list)]
Some: TypeAlias = Annotated[List[T], Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
Size: TypeAlias = Annotated[int, Field(ge=16, le=2048)]
SizeOf8: TypeAlias = Annotated[Size, Field(multiple_of=8)]

Name: TypeAlias = Annotated[
    str,
    _only(
        lambda name: name.isprintable() and "/" not in name and name not in ("", ".", ".."), "a plain name"
    ),
]
Seeds: TypeAlias = Annotated[Some[Seed], _only(lambda seeds: len(set(seeds)) == len(seeds), "no seed twice")]
ScaleRange: TypeAlias = Annotated[
    list[float],
    _only(
        lambda pair: len(pair) == 2 and 0.1 <= pair[0] <= pair[1] <= 4,
        "two numbers in 0.1 to 4, the smaller first",
    ),
]


class Table(BaseModel):
    """Keys that stand together; any other is refused, so no option is ever read and ignored."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class About(Table):
    """What a recipe's file says of itself under `about`; no detector reads it, and no run keeps it."""

    machine: Literal["CPU", "GPU"] | None = None
    """What it is for: a processor with some patience, or a GPU."""
    time: str = ""
    memory: str = ""
    scores: str = ""
    """What was measured, and the document that says how."""


class Recipe(Table):
    """Keys of every detector."""

    detector: str
    name: Name = "unnamed"
    """Name of the run folder; the file's name."""
    folds: Annotated[int, Field(ge=2)] = 5
    fold_seed: Seed = 0
    split: Literal["pairs", "source"] = "pairs"
    seeds: Seeds = [0]
    """The detector is trained once per seed; logits are averaged."""
    views: Some[str] = ["identity"]
    """Test-time views (`humanmade.images.views`), averaged as logits."""

    @property
    def member_names(self) -> list[str]:
        """Names of an ensemble's members, which their folders and files have; of others none."""
        return []

    def pretrained_weights(self) -> list[str]:
        """Names of the pretrained weights it needs, of timm models and of autoencoders."""
        return []


class Counterparts(Table):
    """Photos beside their own reconstructions, made by an autoencoder."""

    scales: List[Annotated[float, Field(ge=0.25, le=2)]] = []
    """Scales at which every training photo is also shown beside its reconstruction; empty is off."""
    photos: Count = 2000
    """Photos that get counterparts, at most: making them costs time and about 10 bytes a pixel of cache."""
    real_fakes: bool = True
    """Train on the generated pictures of the data too, not on counterparts alone."""
    autoencoders: Some[str] = ["taef2"]
    """What reconstructs, each its share of the photos, as one decoder's traces are one fingerprint; of each
    `<name>_encoder.safetensors` and `<name>_decoder.safetensors`."""

    @field_validator("real_fakes")
    @classmethod
    def _something_generated(cls, real_fakes: bool, info: ValidationInfo) -> bool:
        if not real_fakes and not info.data.get("scales"):
            raise ValueError("true, or counterparts.scales")
        return real_fakes


class PictureRecipe(Recipe):
    """Keys of the detectors that look at one square of each picture."""

    image_size: Size = 224
    """Side of the square, in pixels."""
    crop: Literal["native", "resize", "squash"] = "native"
    workers: Annotated[int, Field(ge=-1)] = -1
    """Processes that decode pictures; 0 decodes in threads, -1 takes one a core, at most four, and threads
    where a network computes on these cores."""
    counterparts: Counterparts = Counterparts()

    def pretrained_weights(self) -> list[str]:
        return self.counterparts.autoencoders if self.counterparts.scales else []


class TensorRecipe(PictureRecipe):
    """Keys of the detectors that compute on tensors."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"


class BackboneRecipe(TensorRecipe):
    """Keys of the detectors that stand on a timm backbone."""

    backbone: str = "tf_efficientnet_lite0"
    """Any name of timm's registry, with its pretrained tag where it matters."""
    pretrained: bool = True
    inference_batch: Count = 32

    def pretrained_weights(self) -> list[str]:
        return [*([self.backbone] if self.pretrained else []), *super().pretrained_weights()]


class LinearHeadRecipe(PictureRecipe):
    """Keys of the detectors with a logistic regression on top."""

    head: Literal["logistic", "difference"] = "logistic"
    """Logistic regression, or its limit under strongest shrinkage: the difference of the class means."""
    shrinkage: Some[Positive] = [1e-3, 1e-2, 1e-1, 1.0]
    """Values of the logistic regression's C; inner folds choose among several."""
    histories: Some[str] = ["identity"]
    """Views (`humanmade.images.views`) under which the head sees each training picture: as it is, and
    after drawn histories of compression and scaling, both members of a pair alike."""


class FrozenRecipe(TensorRecipe, LinearHeadRecipe):
    """Keys of the detectors with a linear head on what a frozen network computes."""


class TrainedRecipe(TensorRecipe):
    """Keys of the detectors that the training loop trains."""

    optimiser: str = "adamw"
    """Any name of timm's optimisers."""
    lr: Annotated[float, Field(gt=0, le=100)] = 3e-4
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.05
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate from each layer to the one below; 1 is off."""
    schedule: Literal["cosine", "step", "poly"] = "cosine"
    epochs: Count = 5
    warmup: Share = 0.1
    """Share of all steps in which the learning rate rises from nearly 0."""
    batch_size: Annotated[int, Field(ge=2)] = 32
    deterministic: bool = False
    """On CUDA, kernels that repeat themselves, not the fastest. Bytes are promised on the CPU alone."""
    accumulate: Count = 1
    """Batches whose gradients make one step."""
    clip_grad: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of a step's gradient; 0 is off."""
    ema: Share = 0.0
    """Decay of the weights' moving average, which then is what predicts; 0 is off."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better selection score before a fold stops; 0 trains all epochs and keeps
    the last. Above 0, the best epoch is kept, so out-of-fold scores are slightly optimistic."""


class Augment(Table):
    """What happens to a picture each time it is trained on."""

    scale_range: ScaleRange = [1.0, 1.0]
    """Random resizing before the training crop."""
    flips: bool = True
    chain: Annotated[int, Field(ge=0, le=5)] = 0
    """Most degradations (compression, resizing, blur, noise, colour) that a training picture gets."""
    severity: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Strength of each degradation."""
    pair_sync: bool = True
    """Both members of a pair share a batch and every random draw."""


class NetworkRecipe(BackboneRecipe, TrainedRecipe):
    """A timm network, fine-tuned."""

    detector: Literal["network"] = "network"
    drop_rate: Share = 0.0
    drop_path_rate: Share = 0.0
    """Stochastic depth."""
    label_smoothing: Share = 0.0
    lora: Annotated[int, Field(ge=0, le=256)] = 0
    """Rank of the corrections that a transformer learns instead of its weights; 0 trains the weights."""
    grad_checkpointing: bool = False
    """Compute activations again on the way back: a third slower, in a fraction of the memory."""
    augment: Augment = Augment()


class ProbeRecipe(BackboneRecipe, FrozenRecipe):
    """A frozen timm backbone with a linear head on pooled features of several depths."""

    detector: Literal["probe"] = "probe"
    layers: List[int] = []
    """Depths whose features are pooled, counted from 0, negative from the end; empty takes all."""
    pool: Literal["mean", "mean_std"] = "mean"
    shrinkage: Some[Positive] = [1e-4, 1e-3, 1e-2, 1e-1]


class SpectrumRecipe(LinearHeadRecipe):
    """Residual and frequency statistics with a linear head."""

    detector: Literal["spectrum"] = "spectrum"


class ReconstructionRecipe(FrozenRecipe):
    """What a pretrained autoencoder does to a picture, with a linear head."""

    detector: Literal["reconstruction"] = "reconstruction"
    image_size: SizeOf8 = 224
    autoencoder: str = "taef2"
    """`<name>_encoder.safetensors` and `<name>_decoder.safetensors`."""

    def pretrained_weights(self) -> list[str]:
        return list(dict.fromkeys([self.autoencoder, *super().pretrained_weights()]))


class VaeRecipe(TrainedRecipe, LinearHeadRecipe):
    """A variational autoencoder of human-made pictures, its errors calibrated by a linear head."""

    detector: Literal["vae"] = "vae"
    image_size: SizeOf8 = 224


Single: TypeAlias = NetworkRecipe | ProbeRecipe | SpectrumRecipe | ReconstructionRecipe | VaeRecipe
"""What can stand in an ensemble."""


class EnsembleRecipe(Recipe):
    """Several recipes trained on each fold, the mean of their logits. Members bring their own views."""

    detector: Literal["ensemble"] = "ensemble"
    members: Annotated[dict[Name, Annotated[Single, Field(discriminator="detector")]], Field(min_length=2)]
    """Recipes by name; the ensemble's folds, seeds and split hold for all."""
    steady: bool = True
    """Leave out members whose logits re-encoding moves farther than the class does."""

    @property
    def member_names(self) -> list[str]:
        return list(self.members)

    def pretrained_weights(self) -> list[str]:
        names = [name for member in self.members.values() for name in member.pretrained_weights()]
        return list(dict.fromkeys(names))


KINDS: dict[str, type[Recipe]] = {
    kind.model_fields["detector"].default: kind for kind in (*get_args(Single), EnsembleRecipe)
}
"""The model of each detector."""
