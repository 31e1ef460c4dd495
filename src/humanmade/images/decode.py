"""Any picture people have, as an upright 8-bit sRGB array."""

from __future__ import annotations

import functools
import io
import struct
import warnings
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from humanmade.images.truncation import LEAST, ended, lacks_end, seems_whole, share_there

Picture: TypeAlias = npt.NDArray[np.uint8]
"""Height x width x 3, RGB, 0 to 255."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""Formats that are decoded; others (EPS would start a PostScript interpreter) are refused."""

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded: 300 MB as RGB. Larger ones are taken for decompression bombs."""

# Decoders meet hostile bytes with errors of many kinds; each means that this is no picture.
ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError,
    struct.error, MemoryError, Image.DecompressionBombError,
)  # fmt: skip

# Pillow warns of much that is odd and can be read. Not `catch_warnings`, which threads undo for one another.
warnings.filterwarnings("ignore", module=r"PIL\.")

_IN_RGB = getattr(cv2, "IMREAD_COLOR_RGB", 0)
"""Asks OpenCV for RGB at once; versions before 4.11 cannot."""


class BrokenPictureError(Exception):
    """The bytes are not a picture that can be read; the message says why."""


def decode(data: bytes, trusted: bool = False) -> Picture:
    """Decode a file's bytes: first frame, EXIF orientation applied, colours in sRGB, alpha on white.

    A JPEG that was cut off is decoded as far as it goes, the rest grey, if that is `LEAST` of its rows.

    Args:
        trusted: these bytes were decoded before. Plain JPEGs then go through OpenCV: the same pixels
            sooner, but it would take some damaged files for whole.

    Raises:
        BrokenPictureError: too little could be decoded, or it is larger than `MAX_PIXELS`.
    """
    image, _ = _read(data, trusted)
    return image if isinstance(image, np.ndarray) else np.array(image, dtype=np.uint8)


def upright(data: bytes) -> tuple[Image.Image, bool]:
    """What `decode` gives, as Pillow's RGB picture, and whether it is a JPEG that was cut off."""
    image, cut = _read(data, trusted=False)
    assert isinstance(image, Image.Image)
    return image, cut


def _read(data: bytes, trusted: bool) -> tuple[Image.Image | Picture, bool]:
    """The picture, and whether it is a JPEG that was cut off."""
    try:
        image = open_picture(data)
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise BrokenPictureError(f"{pixels:,} pixels, more than {MAX_PIXELS:,}")
        endless, profile = lacks_end(data), image.info.get("icc_profile")
        if trusted and image.format == "JPEG" and image.mode in ("RGB", "L") and not endless:
            plain = None if profile or _may_turn(image) else _by_opencv(data, image.size)
            progressive = "progressive" in image.info
            if plain is not None and seems_whole(data, progressive, plain[-1, -1].tolist()):
                return plain, False
        image.load()
        share = share_there(data, image) if image.format in ("JPEG", "MPO") else 1.0
        if share < LEAST:
            raise BrokenPictureError(f"cut off: less than {LEAST:.0%} of it can be decoded")
        ImageOps.exif_transpose(image, in_place=True)
        return _to_srgb(_to_rgb(image), profile), endless or share < 1
    except BrokenPictureError:
        raise
    except ERRORS as error:
        reason = str(error).split("<")[0].strip() or type(error).__name__
        raise BrokenPictureError(reason) from None


def _may_turn(image: Image.Image) -> bool:
    """Whether the file may say which side is up, in either of the places that Pillow obeys."""
    return not {"exif", "xmp"}.isdisjoint(image.info)


def _by_opencv(data: bytes, size: tuple[int, int]) -> Picture | None:
    """Decode a JPEG by OpenCV to the pixels that Pillow gives, as both use libjpeg-turbo, without its copies.

    None where it fails, or where the size is not the one that Pillow found.
    """
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _IN_RGB or cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    if decoded is None or decoded.shape[1::-1] != size:
        return None
    return np.asarray(decoded if _IN_RGB else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def open_picture(data: bytes) -> Image.Image:
    """Read a file's header; its pixels are read when they are asked for."""
    if not data:
        raise BrokenPictureError("the file is empty")
    data = ended(data) if lacks_end(data) else data
    return Image.open(io.BytesIO(data), formats=_supported_formats())


@functools.cache
def _supported_formats() -> list[str]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # Pillow would copy


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and floating-point grey to 8 bits; Pillow alone would clip it."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F" or values.max() > 65535:
        # Holes (NaN) are black, and infinities do not stretch the rest.
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        values = (values - low) / max(high - low, 1e-12) * 255
    else:
        # Mode I holds 16-bit PNGs in older Pillows; whatever fits 8 bits is left as it is.
        values = values / 257 if image.mode.startswith("I;16") or values.max() > 255 else values
    grey = np.nan_to_num(values, posinf=255, neginf=0).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        # A profile for another colour model, or a damaged one: the pixels stand as they are.
        return image
    return image if converted is None else converted
