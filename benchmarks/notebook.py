"""What the usual public notebook does: Pillow, torchvision's transforms, fp32, two workers.

Nothing of the package is imported: its settings, such as those of memory, would speed the notebook up too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence

import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pictures(Dataset[tuple[torch.Tensor, float]]):
    """Pictures opened by Pillow, cropped, flipped and normalised by torchvision."""

    def __init__(self, rows: Sequence[tuple[str, int]], size: int) -> None:
        self.rows = rows
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        path, label = self.rows[index]
        return self.transform(Image.open(path).convert("RGB")), float(label)


def epoch(rows: Sequence[tuple[str, int]], backbone: str, size: int, batch: int) -> float:
    """Train one epoch of paths and labels, in a process of its own; gives seconds a picture."""
    settings = json.dumps([rows, backbone, size, batch])
    command = [sys.executable, "-m", "benchmarks.notebook"]
    return float(
        subprocess.run(command, input=settings, stdout=subprocess.PIPE, text=True, check=True).stdout
    )


def _epoch(rows: Sequence[tuple[str, int]], backbone: str, size: int, batch: int) -> float:
    network = timm.create_model(backbone, num_classes=1)  # random weights take as long
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = torch.nn.BCEWithLogitsLoss()
    network.train()
    began = time.perf_counter()
    for pixels, labels in DataLoader(Pictures(rows, size), batch, shuffle=True, num_workers=2):
        optimiser.zero_grad()
        loss(network(pixels).squeeze(1), labels.float()).backward()
        optimiser.step()
    return (time.perf_counter() - began) / len(rows)


def draw(size: int) -> v2.Transform:
    """A crop, a flip and two links of torchvision's degradations, each used half the time, to a tensor."""
    links = [
        v2.JPEG((58, 95)),
        v2.Compose([v2.Resize(size // 2), v2.Resize(size)]),
        v2.GaussianBlur(5, (0.1, 1.1)),
        v2.ColorJitter(0.25, 0.25, 0.25, 0.025),
        v2.RandomAdjustSharpness(1.5, 1.0),
    ]
    chain = [v2.RandomApply([v2.RandomChoice(links)], 0.5) for _ in range(2)]
    return v2.Compose([v2.PILToTensor(), v2.RandomCrop(size), v2.RandomHorizontalFlip(), *chain])


if __name__ == "__main__":
    print(_epoch(*json.load(sys.stdin)))
