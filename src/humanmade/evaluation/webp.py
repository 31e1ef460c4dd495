"""Pictures inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

QUALITIES = (60, 45, 30, 15)
"""Of WebP, best first: the first that keeps a picture small enough is taken."""


def inline(image: Image.Image, width: int, most: int) -> str:
    """A picture as a `data:` address, in WebP.

    Args:
        width: pixels, at most.
        most: bytes that it should take; the least quality may take more.
    """
    image = image.convert("RGB")
    image.thumbnail((width, image.height), Image.Resampling.LANCZOS)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= most:
            break
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
