from pathlib import Path

import pytest

from humanmade import places, pretrained
from humanmade.errors import UserError


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


def put(*names: str) -> None:
    for name in names:
        path = places.cache("weights") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("vit_x.tag", "vit_x.tag.safetensors"),
        ("vit_x.tag", "vit_x.safetensors"),
        ("vit_x", "vit_x.tag.safetensors"),
        ("taef2", "taef2_encoder.safetensors"),
    ],
)
def test_weights_are_known_by_their_files(name: str, file: str):
    with pytest.raises(UserError, match=f"no weights for {name} in .*name their folder with --weights"):
        pretrained.require([name])
    put(file)
    pretrained.require([name])


@pytest.mark.parametrize("name", ["/x", "**x", "", "["])
def test_no_name_is_a_pattern(name: str):
    with pytest.raises(UserError, match="no weights for"):
        pretrained.require([name])


def test_another_tag_is_another_network():
    put("vit_x.other.safetensors")
    with pytest.raises(UserError, match=r"no weights for vit_x\.tag"):
        pretrained.require(["vit_x.tag"])


def test_packages_and_the_hubs_cache_have_some(tmp_path: Path):
    pretrained.require(["tf_efficientnet_lite0"])
    (tmp_path / "hub" / "hub" / "models--timm--vit_x.tag").mkdir(parents=True)
    pretrained.require(["vit_x.tag"])


def test_what_timm_can_download_is_left_to_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pretrained, "_hub_answers", lambda: True)
    pretrained.require(["vit_x.tag"])
    with pytest.raises(UserError, match="put taef2_encoder and taef2_decoder"):
        pretrained.require(["vit_x.tag", "taef2"])


def test_a_kernel_has_inputs_instead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    pretrained.require(["taef2"])
