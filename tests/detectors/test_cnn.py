import numpy as np
import pytest
import timm
import torch
from torch import nn

from humanmade.detectors import cnn
from humanmade.images.residuals import neighbouring_pixels
from tests.conftest import scene

NAMES = ["cifake_cnn", "trace_cnn", "trace_cnn_npr"]


@pytest.mark.parametrize("name", NAMES)
def test_timm_makes_them_and_their_heads_can_be_replaced(name: str):
    model = timm.create_model(name, num_classes=1, drop_rate=0.1)
    pixels = torch.rand(2, 3, 32, 32)
    assert model(pixels).shape == (2, 1)
    features = model.forward_head(model.forward_features(pixels), pre_logits=True)
    assert features.shape == (2, model.num_features)
    model.reset_classifier(0)
    assert model.eval()(pixels).shape == (2, model.num_features)
    model.reset_classifier(5)
    assert model(pixels).shape == (2, 5)


def test_cifake_cnn_is_the_papers_topology():
    model = cnn.CifakeCnn()
    kinds = [type(layer).__name__ for layer in model.modules() if not list(layer.children())]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d"] * 2 + ["Linear", "Linear"]
    assert (
        sum(p.numel() for p in model.parameters())
        == (3 * 9 + 1) * 32 + (32 * 9 + 1) * 32 + (2048 + 1) * 64 + 65
    )


def test_the_stem_keeps_every_pixel():
    model = cnn.TraceCnn()
    assert model.stem(torch.rand(1, 3, 40, 48)).shape[-2:] == (40, 48)
    assert not any(isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)) for layer in model.modules())


@pytest.mark.parametrize("shape", [(40, 48), (41, 47)])
def test_npr_on_tensors_is_npr_on_pictures(shape: tuple[int, int]):
    picture = scene(1, shape)
    tensor = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
    shown = cnn.NeighbouringPixels()(tensor)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(shown, neighbouring_pixels(picture))
