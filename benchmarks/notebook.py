"""What the usual public notebook does: Pillow, torchvision's transforms, fp32, two workers."""

from __future__ import annotations

import time

import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import v2

from humanmade.detectors.weights import create_backbone

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pictures(Dataset[tuple[torch.Tensor, float]]):
    """Pictures opened by Pillow, cropped, flipped and normalised by torchvision."""

    def __init__(self, rows: pd.DataFrame, size: int) -> None:
        self.rows = list(zip(rows["path"], rows["label"], strict=True))
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


def epoch(rows: pd.DataFrame, backbone: str, size: int, batch: int) -> float:
    """Train one epoch; gives seconds a picture."""
    network = create_backbone(backbone, True, size, 1)
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
