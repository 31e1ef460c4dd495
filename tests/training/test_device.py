import pytest
import torch

from humanmade.errors import UserError
from humanmade.training.device import Machine, choose_kernels


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """GPUs that were made this process's own."""
    devices: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    return devices


def test_a_gpu_without_bf16_units_gets_fp16_and_a_scaler(monkeypatch: pytest.MonkeyPatch):
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation  # as a T4 answers

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert Machine.pick().dtype == torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert Machine.pick().dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("unit", "auto"), [("", torch.float32), ("avx512_bf16", torch.bfloat16), ("amx_tile", torch.bfloat16)]
)
def test_a_processor_computes_in_bf16_where_it_can_unless_told(
    monkeypatch: pytest.MonkeyPatch, unit: str, auto: torch.dtype
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda has=name == unit: has, raising=False)
    weight, row = torch.ones(2, 2), torch.ones(1, 2)
    for precision, dtype in (("auto", auto), ("fp32", torch.float32), ("bf16", torch.bfloat16)):
        machine = Machine.pick(precision)
        with machine.autocast():
            assert (row @ weight).dtype == dtype
        assert not machine.scaler().is_enabled()


def test_pixels_are_scaled_and_channels_last():
    machine = Machine(torch.device("cpu"), torch.float32)
    batch = machine.pixels(torch.full((2, 3, 4, 4), 255, dtype=torch.uint8))
    assert batch.max() == 1 and batch.is_contiguous(memory_format=torch.channels_last)


def test_each_rank_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, chosen: list[torch.device]):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert Machine.pick("fp16").device == torch.device("cuda", rank) == chosen[-1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match="more processes than this machine's 2 GPUs"):
        Machine.pick()


def test_the_fastest_kernels_are_chosen_unless_a_recipe_wants_the_same_ones():
    Machine.pick("fp32")
    assert torch.backends.cudnn.benchmark and not torch.backends.cudnn.deterministic
    choose_kernels(deterministic=True)
    assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
