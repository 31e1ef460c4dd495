"""Pictures of every kind that people and accidents put into folders: `python -m tests.images.zoo FOLDER`."""

from __future__ import annotations

import functools
import io
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, features

from humanmade.images.truncation import END
from tests.conftest import scene

PICTURE = scene(1, (320, 480))
SMALL = scene(2, (40, 60))
AVIF = bool(features.check("avif"))

CODECS: dict[str, tuple[str, dict[str, object]]] = {
    "baseline": ("JPEG", {"quality": 90}),
    "progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 90}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
}
"""One a way through a decoder: Pillow's format and how it is saved."""
if AVIF:
    CODECS["avif"] = ("AVIF", {"quality": 90})

MODES = {"L": "JPEG", "1": "PNG", "LA": "PNG", "CMYK": "TIFF", "LAB": "TIFF", "I": "TIFF"}
"""Colour models, and a format that has each."""

ENDINGS = {"JPEG": "jpg", "TIFF": "tif"}


def encoded(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    """A picture in a format of Pillow's."""
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def empty_png(width: int, height: int) -> bytes:
    """A PNG that claims to be as large as this."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def swapped_profile() -> bytes:
    """sRGB under another name, its red and green primaries exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = srgb.replace("sRGB".encode("utf-16-be"), "xxxx".encode("utf-16-be"))
    return other.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


@functools.cache
def files() -> dict[str, bytes]:
    """The zoo's ordinary files by their names."""
    return dict([*_whole(), *_cut(), *_odd_sizes(), *_colours(), *_exif(), *_animated(), *_no_pictures()])


def make(folder: Path) -> None:
    """Write the zoo, with what is no ordinary file: links, a folder, a pipe and a locked file."""
    folder.mkdir()
    for name, data in files().items():
        (folder / name).write_bytes(data)
    outside = folder.parent / "outside.jpg"
    outside.write_bytes(encoded(SMALL, "JPEG"))
    for name, target in {
        "link-absolute.jpg": outside.resolve(),
        "link-up.jpg": Path("../outside.jpg"),
        "link-nowhere.jpg": Path("nowhere.jpg"),
        "link-loop.jpg": Path("link-loop.jpg"),
        "link-long.jpg": Path("long" * 100),
    }.items():
        (folder / name).symlink_to(target)
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg/inside.png").write_bytes(encoded(SMALL, "PNG"))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "locked.png").write_bytes(encoded(SMALL, "PNG"))
    (folder / "locked.png").chmod(0)


def _whole() -> Iterator[tuple[str, bytes]]:
    for codec, (kind, options) in CODECS.items():
        yield f"whole-{codec}.{ENDINGS.get(kind, kind.lower())}", encoded(PICTURE, kind, **options)
    yield "wrong-ending.png", encoded(PICTURE, "JPEG")
    yield "wrong-ending.jpg", encoded(PICTURE, "PNG")
    yield "trailing.jpg", encoded(PICTURE, "JPEG") + bytes(10_000)
    yield "several.jpg", encoded(PICTURE, "MPO", save_all=True, append_images=[Image.fromarray(SMALL)])
    yield "restarts.jpg", encoded(PICTURE, "JPEG", restart_marker_rows=2)
    grey = PICTURE.copy()
    grey[200:] = 128  # as libjpeg fills what is missing
    for mode in ("RGB", "L", "CMYK"):
        for name in ("baseline", "progressive"):
            whole = Image.fromarray(grey).convert(mode)
            options = {**CODECS[name][1], "optimize": True}
            yield f"whole-grey-{mode}-{name}.jpg", encoded(whole, "JPEG", **options)


def _cut() -> Iterator[tuple[str, bytes]]:
    for codec, (kind, options) in CODECS.items():
        data = encoded(PICTURE, kind, **options)
        for tenth in range(1, 10):
            part = data[: len(data) * tenth // 10]
            yield f"cut-{codec}-{tenth}.{ENDINGS.get(kind, kind.lower())}", part
            if kind == "JPEG":
                last_scan = codec == "progressive" and tenth >= 8
                yield f"{'last-bits' if last_scan else f'cut-{codec}'}-{tenth}-ended.jpg", part + END
    for codec in ("baseline", "progressive"):
        data = encoded(PICTURE, "JPEG", **CODECS[codec][1])
        yield f"end-{codec}-lost.jpg", data[:-2]
        yield f"end-{codec}-98.jpg", data[: len(data) * 98 // 100]
        yield f"end-{codec}-98-zeros.jpg", data[: len(data) * 98 // 100].ljust(len(data), b"\0")
        yield f"cut-{codec}-half-zeros.jpg", data[: len(data) // 2].ljust(len(data), b"\0")
        yield f"cut-{codec}-900.jpg", data[:900]
    for mode in ("L", "RGB", "CMYK"):
        data = encoded(Image.fromarray(PICTURE).convert(mode), "JPEG")
        yield f"end-{mode}.jpg", data[: len(data) * 98 // 100]
        yield f"cut-baseline-{mode}.jpg", data[: len(data) // 2]
        yield f"end-{mode}-ended.jpg", data[: len(data) * 98 // 100] + END
        yield f"cut-baseline-{mode}-ended.jpg", data[: len(data) // 2] + END
    white = PICTURE.copy()
    white[200:] = 255
    data = encoded(white, "JPEG", progressive=True)
    yield "end-white-lost.jpg", data[:-2]
    thumbnail = Image.Exif()
    thumbnail[0x927C] = encoded(SMALL, "JPEG")  # a maker's note that is a whole JPEG
    data = encoded(PICTURE, "JPEG", exif=thumbnail.tobytes())
    yield "whole-thumbnail.jpg", data
    yield "cut-thumbnail.jpg", data[:3800]
    yield "end-thumbnail.jpg", data[:-200]


def _odd_sizes() -> Iterator[tuple[str, bytes]]:
    for kind, ending in (("PNG", "png"), ("JPEG", "jpg")):
        yield f"size-1x1.{ending}", encoded(SMALL[:1, :1], kind)
        yield f"size-1x20000.{ending}", encoded(scene(3, (20_000, 1)), kind)
    yield "bomb.png", empty_png(40_000, 40_000)
    yield "bomb-smaller.png", empty_png(12_000, 10_000)
    jpeg = bytearray(encoded(SMALL, "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 40_000, 40_000)
    yield "bomb.jpg", bytes(jpeg)
    gif = bytearray(encoded(SMALL, "GIF"))
    gif[6:10] = struct.pack("<HH", 40_000, 40_000)
    yield "bomb.gif", bytes(gif)
    bmp = bytearray(encoded(SMALL, "BMP"))
    bmp[18:26] = struct.pack("<II", 40_000, 40_000)
    yield "bomb.bmp", bytes(bmp)
    note = PngImagePlugin.PngInfo()
    note.add_text("comment", "x" * 2_000_000, zip=True)
    yield "bomb-text.png", encoded(SMALL, "PNG", pnginfo=note)


def _colours() -> Iterator[tuple[str, bytes]]:
    deep = np.linspace(0, 65535, SMALL[..., 0].size).reshape(SMALL.shape[:2]).astype(np.uint16)
    yield "grey-16.png", encoded(deep, "PNG")
    yield "rgb-16.png", cv2.imencode(".png", SMALL.astype(np.uint16) * 257)[1].tobytes()
    yield "rgb-16.tif", cv2.imencode(".tif", SMALL.astype(np.uint16) * 257)[1].tobytes()
    image = Image.fromarray(SMALL)
    for mode, kind in MODES.items():
        yield f"mode-{mode}.{ENDINGS.get(kind, kind.lower())}", encoded(image.convert(mode), kind)
    cmyk = encoded(image.convert("CMYK"), "JPEG")
    yield "cmyk-adobe.jpg", cmyk
    place = cmyk.index(b"\xff\xee\x00\x0eAdobe")
    yield "cmyk-plain.jpg", cmyk[:place] + cmyk[place + 16 :]
    palette = image.quantize(32)
    yield "palette-alpha.png", encoded(palette, "PNG", transparency=bytes(range(0, 256, 8)))
    yield "palette-alpha.gif", encoded(palette, "GIF", transparency=3)
    yield "profile.jpg", encoded(SMALL, "JPEG", icc_profile=swapped_profile())
    yield "profile-broken.jpg", encoded(SMALL, "JPEG", icc_profile=b"nonsense")
    values = np.linspace(-1, 1, SMALL[..., 0].size).reshape(SMALL.shape[:2]).astype(np.float32)
    for name, places in {"some": np.s_[::2, ::3], "all": np.s_[:, :]}.items():
        holed = values.copy()
        holed[places] = np.nan
        yield f"float-{name}-nan.tif", encoded(holed, "TIFF")
    values[0, :2] = np.inf, -np.inf
    yield "float-infinite.tif", encoded(values, "TIFF")


def _exif() -> Iterator[tuple[str, bytes]]:
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"exif-{turn}.jpg", encoded(SMALL, "JPEG", exif=exif.tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = exif.tobytes()
    for name, data in {
        "nonsense": b"Exif\0\0nonsense",
        "empty": b"Exif\0\0",
        "short": whole[:-7],
        "lost": whole.replace(struct.pack(">I", 8), struct.pack(">I", 90_000)),
        "nine": whole.replace(b"\0\x06\0\0", b"\0\x09\0\0"),
    }.items():
        yield f"exif-{name}.jpg", encoded(SMALL, "JPEG", exif=data)


def _animated() -> Iterator[tuple[str, bytes]]:
    frames = [Image.fromarray(scene(seed, (40, 60))) for seed in (2, 3, 4)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        yield f"animated.{ENDINGS.get(kind, kind.lower())}", data


def _no_pictures() -> Iterator[tuple[str, bytes]]:
    yield "empty.jpg", b""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("picture.png", encoded(SMALL, "PNG"))
    yield "archive.jpg", archive.getvalue()
    yield "text.png", b"this is no picture\n"
    yield "page.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    yield "drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    yield "postscript.jpg", encoded(SMALL, "EPS")
    yield "icon.png", encoded(SMALL, "ICO")
    yield "stub.jpg", b"\xff\xd8\xff\xe0"
    yield "zeros.jpg", bytes(10_000)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
