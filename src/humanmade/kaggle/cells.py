"""A kernel's code, whether it is a script or a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOTEBOOK = ".ipynb"


def code_file(folder: Path) -> Path:
    """The script or notebook of a kernel's folder."""
    return next(path for path in folder.glob(f"{folder.name}.*") if path.suffix in (".py", NOTEBOOK))


def code(path: Path) -> str:
    """A script, or what a notebook's cells of code hold."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != NOTEBOOK:
        return text
    return "\n".join(_source(cell) for cell in json.loads(text)["cells"] if _is_code(cell))


def behind(prelude: str, path: Path, fill: Callable[[str], str]) -> str:
    """The text of a kernel behind a prelude, in a notebook behind a folded cell of it.

    Args:
        fill: is given the kernel's own code, of a notebook cell by cell.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != NOTEBOOK:
        return f"{prelude}\n{fill(text)}"
    notebook = json.loads(text)
    for cell in filter(_is_code, notebook["cells"]):
        cell["source"] = fill(_source(cell))
    folded = {"_kg_hide-input": True, "jupyter": {"source_hidden": True}}
    head = {"cell_type": "code", "id": "package", "metadata": folded, "source": prelude}
    notebook["cells"].insert(0, head | {"execution_count": None, "outputs": []})
    return json.dumps(notebook, ensure_ascii=False)


def _is_code(cell: dict[str, Any]) -> bool:
    return bool(cell["cell_type"] == "code")


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])
