"""Weights with everything inference needs, and the state that makes resuming exact."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from humanmade.errors import UserError
from humanmade.files import whole_file

Tensors = dict[str, torch.Tensor]


def save_weights(path: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write tensors as safetensors, with `facts` (plain values) in the file's own metadata."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as scratch:
        save_file(contiguous, scratch, {"humanmade": json.dumps(facts, sort_keys=True)})


def load_weights(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what `save_weights` wrote.

    Raises:
        UserError: the file is absent, damaged or not one of ours.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["humanmade"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a checkpoint of this kit ({error})") from None


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of an unfinished training."""
    with whole_file(path) as scratch:
        torch.save(state, scratch)


def load_state(path: Path) -> dict[str, Any] | None:
    """Read the state of an unfinished training; None where there is none, or a damaged one."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError):
        return None
    return state


def digest(module: torch.nn.Module) -> str:
    """Hash a module's weights: the same for the same values, wherever they came from."""
    sha = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:32]
