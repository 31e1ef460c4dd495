from pathlib import Path

import pytest
import torch

from humanmade.errors import UserError
from humanmade.training import checkpoint


def test_weights_travel_with_their_facts(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    tensors = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(2)}
    checkpoint.save_weights(path, tensors, {"image_size": 224})
    loaded, facts = checkpoint.load_weights(path)
    assert facts == {"image_size": 224}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 10])
def test_a_damaged_checkpoint_is_a_user_error(tmp_path: Path, content: bytes | None):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        checkpoint.load_weights(path)


def test_a_state_with_code_in_it_is_not_loaded(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"network": Evil()}, tmp_path / "last.pt")
    assert checkpoint.load_state(tmp_path / "last.pt") is None
    assert not (tmp_path / "ran").exists()


def test_a_cut_state_counts_as_none(tmp_path: Path):
    path = tmp_path / "last.pt"
    assert checkpoint.load_state(path) is None
    checkpoint.save_state(path, {"counts": (1, 2.0, 3)})
    assert checkpoint.load_state(path) == {"counts": (1, 2.0, 3)}
    path.write_bytes(path.read_bytes()[:50])
    assert checkpoint.load_state(path) is None


def test_digest_depends_on_values_alone():
    one, two = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert checkpoint.digest(one) != checkpoint.digest(two)
    two.load_state_dict(one.state_dict())
    assert checkpoint.digest(one) == checkpoint.digest(two)
