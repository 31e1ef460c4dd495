"""The accelerator and its precision, decided once."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import torch

from humanmade.errors import UserError
from humanmade.machine import keep_all_freed_memory

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_kernels(deterministic: bool) -> None:
    """Let cuDNN try which kernel is the fastest for each shape, or take those that repeat themselves.

    The latter are 2 to 80 times as slow for depthwise and large convolutions.
    """
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic


@dataclass(frozen=True)
class Machine:
    """Where networks run and in which precision."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def pick(cls, precision: str = "auto") -> Machine:
        """Take the GPU where there is one; `auto` is bf16 where there are units for it.

        Elsewhere it is fp16 on a GPU, and on a processor fp32: emulated bf16 is about ten times as slow.
        """
        device = torch.device("cpu")
        if torch.cuda.is_available():
            # torchrun tells each process of a machine which GPU is its own.
            rank, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
            if rank >= count:
                raise UserError(
                    f"torchrun: more processes than this machine's {count} GPUs; lower --nproc-per-node"
                )
            device = torch.device("cuda", rank)
            # Also for what names no device, such as pinned memory, which else goes to the first GPU.
            torch.cuda.set_device(device)
        else:
            keep_all_freed_memory()
        choose_kernels(deterministic=False)
        if precision != "auto":
            return cls(device, DTYPES[precision])
        if device.type == "cpu":
            return cls(device, torch.bfloat16 if _processor_has_bf16() else torch.float32)
        # A T4 emulates bf16, slower than fp32; emulation does not count.
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return cls(device, torch.bfloat16 if has_bf16 else torch.float16)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Mixed precision; off for fp32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling, which only fp16 needs; disabled otherwise."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """Move a module here, in the memory layout that convolutions are fastest in."""
        return module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pixels(self, batch: torch.Tensor) -> torch.Tensor:
        """Move 8-bit pictures here as floats of 0 to 1."""
        pixels = batch.to(self.device, non_blocking=True).float().div_(255)
        return pixels.contiguous(memory_format=torch.channels_last)


def _processor_has_bf16() -> bool:
    """Whether the processor has instructions for bf16, as far as this torch can tell."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
