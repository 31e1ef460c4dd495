"""What stands inside a page: figures as SVG in the page's own ink, and pictures as WebP.

The same values give the same bytes.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

P = ParamSpec("P")
T = TypeVar("T")

INK = "#010203"
"""Stands for the page's text colour, so that one drawing is right on light and on dark."""

WIDTH = 4.6
"""Inches of every figure: 400 pixels of a page still show its text at a size to read."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8,
    # A run's name may hold a dollar sign.
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "grid.color": INK,
    "grid.alpha": 0.2,
    "axes.axisbelow": True,
}

UNWANTED = (
    re.compile(r' id="(?:figure|axes|patch|line2d|text|legend|matplotlib|xtick|ytick|\w+Collection)[\w.]*"'),
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
)
"""Names that every figure gives its parts, a style that would hold for the whole page, and comments."""

LONG_NUMBER = re.compile(r"\d+\.\d{3,}")

QUALITIES = (60, 45, 30, 15)
"""Of WebP, best first: the first that keeps a picture small enough is taken."""


def styled(plot: Callable[P, T]) -> Callable[P, T]:
    """Draw by `STYLE`, whatever the user's own matplotlibrc says."""

    @wraps(plot)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with style.context(["default", STYLE]):
            return plot(*args, **kwargs)

    return inside


def panels(height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `WIDTH` inches with its panels, row by row."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel().tolist()


def drawn(figure: Figure, said: str) -> str:
    """The figure as an `<svg>` element that stands in HTML as it is and fills its place, said in words."""
    buffer = io.StringIO()
    # Ids that parts of a figure refer to are made of this, and no two figures of a page may share them.
    with matplotlib.rc_context({"svg.hashsalt": said}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    opening = re.search(r'<svg [^>]*viewBox="([^"]+)"[^>]*>', text)
    assert opening, "matplotlib writes the size of its drawings"
    body = text[opening.end() :].replace(INK, "currentColor").replace("'DejaVu Sans', ", "")
    for pattern in UNWANTED:
        body = pattern.sub("", body)
    body = re.sub(r"\s+", " ", body).replace("> <", "><")
    # Hundredths of a point are as sharp as a screen.
    shorter = partial(LONG_NUMBER.sub, lambda number: f"{float(number[0]):.2f}")
    body = re.sub("<[^>]*>", lambda tag: shorter(tag[0]), body)
    return f'<svg role="img" aria-label="{html.escape(said)}" viewBox="{opening[1]}">{body.strip()}'


def picture(image: Image.Image, width: int, most: int) -> str:
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
