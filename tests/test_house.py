"""Imports run one way, from the commands down to the ground."""

import ast
from pathlib import Path

import humanmade

ROOT = Path(humanmade.__file__).parent
FLOORS = [
    *("commands", "api", "kaggle", "bench", "crossval"),
    *("evaluation", "detectors", "training", "data", "images"),
]


def floor(parts: list[str]) -> int:
    """Height of a module: 0 is the top; everything that is not in the list is the ground."""
    return FLOORS.index(parts[0]) if parts and parts[0] in FLOORS else len(FLOORS)


def imported(path: Path) -> list[list[str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("humanmade"):
            base = (node.module or "").split(".")[1:]
            found += [base if base else [alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [a.name.split(".")[1:] for a in node.names if a.name.startswith("humanmade.")]
    return found


def test_nothing_imports_upwards():
    wrong, seen = [], 0
    for path in ROOT.rglob("*.py"):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts in (["__main__"], ["__init__"]):
            continue  # the doors, which open onto the top
        seen += len(imported(path))
        wrong += [f"{'.'.join(parts)} -> {'.'.join(t)}" for t in imported(path) if floor(t) < floor(parts)]
    assert not wrong and seen > 200
