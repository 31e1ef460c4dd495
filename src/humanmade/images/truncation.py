"""JPEGs that were cut off, the one kind of cut file of which something is shown: how much there is."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageChops

LEAST = 0.9
"""Share of the rows that must be there; with less the picture is broken."""

END = b"\xff\xd9"
SCAN = 0xDA
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of the header that names the components: one for each way of coding."""
BARE = {0x00, 0x01, 0xFF, *range(0xD0, 0xD9)}
"""What may follow 0xFF without a length behind it: stuffing, fill bytes and restarts."""

GREY = {127, 128}
"""Levels that coefficients of zero give; CMYK is stored the other way round."""

NOISE = bytes(byte % 255 for byte in random.Random(0).randbytes(512))
"""A wrong ending, without 0xFF and so without markers."""


def lacks_end(data: bytes) -> bool:
    """Whether these are a JPEG's bytes without the marker that ends one; a thumbnail's does not count."""
    return data.startswith(b"\xff\xd8") and _end(data) < 0


def ended(data: bytes, tail: bytes = b"") -> bytes:
    """Give a cut JPEG an end, with which libjpeg fills what is missing with grey instead of giving up.

    Zeros at the end are what a download left that reserved its place; a lone 0xFF is half a marker. An end
    that is there stays; the tail comes before it.
    """
    end = _end(data)
    return (data.rstrip(b"\0\xff") if end < 0 else data[:end].rstrip(b"\xff")) + tail + END


def seems_whole(data: bytes, progressive: bool, last: Sequence[int]) -> bool:
    """Whether nothing says that a JPEG was cut off. An end may have been put on after the cut: it is trusted
    unless the picture ends in the grey with which libjpeg fills.

    Args:
        last: channels of the last pixel.
    """
    return not (lacks_end(data) or set(last) <= GREY or (progressive and not _last_scan_begun(data)))


def share_there(data: bytes, image: Image.Image) -> float:
    """The share of its rows that a JPEG has in full.

    What does not depend on how the file goes on is there: the rows above the first one that a wrong ending
    changes. A progressive JPEG is coarse all over until its last scan has begun, and has none before.

    Args:
        image: what the data decodes to, `ended` where it lacks an end.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if seems_whole(data, "progressive" in image.info, np.atleast_1d(np.array(last)).tolist()):
        return 1.0
    if not _last_scan_begun(data):
        return 0.0
    changed = Image.open(io.BytesIO(ended(data, NOISE)), formats=["JPEG"])
    box = ImageChops.difference(image, changed).getbbox()
    return box[1] / image.height if box else 1.0


def _end(data: bytes) -> int:
    """Where the marker is that ends the coded pixels; -1 where none does."""
    start = next((place for marker, place, _ in _segments(data) if marker == SCAN), len(data))
    return data.find(END, start)


def _last_scan_begun(data: bytes) -> bool:
    """Whether every coefficient of every component has been sent, or has begun to be, to its last bit."""
    lacking: set[tuple[int, int]] = set()
    for marker, _, body in _segments(data):
        if marker in FRAMES:
            lacking = {(component, k) for component in body[6::3] for k in range(64)}
        elif marker == SCAN:
            first, last, bits = body[-3:]
            if bits % 16 == 0:
                lacking -= {(component, k) for component in body[1:-3:2] for k in range(first, last + 1)}
    return not lacking


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, place and body of each whole segment before the end; coded pixels are passed over."""
    place = 2
    while 0 <= (place := data.find(b"\xff", place)) < len(data) - 3:
        marker = data[place + 1]
        if marker == END[1]:
            return
        if marker in BARE:
            place += 1
            continue
        length = int.from_bytes(data[place + 2 : place + 4])
        body = data[place + 4 : place + 2 + length]
        if len(body) == length - 2:
            yield marker, place, body
        place += 2 + max(length, 2)
