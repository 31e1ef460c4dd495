"""The house drawn from its imports: `python -m tests.house` prints the diagram of docs/architecture.md."""

from __future__ import annotations

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


GROUND = "ground"
"""The room of the modules that are in no folder."""


def edges() -> set[tuple[str, str]]:
    """Which room imports from which."""
    rooms = set()
    for path in ROOT.rglob("*.py"):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        rooms |= {(_room(parts), _room(target)) for target in imported(path)}
    return {(above, below) for above, below in rooms if above != below and above != GROUND}


def diagram() -> str:
    """Mermaid's words for it: an arrow for every import but those that a longer way implies."""
    direct = edges()
    between = {(above, below) for above, below in direct if not _longer_way(above, below, direct)}
    return "\n".join(["graph TD", *(f"    {above} --> {below}" for above, below in sorted(between))])


def _longer_way(above: str, below: str, direct: set[tuple[str, str]]) -> bool:
    """Whether `below` is reached from `above` through another room."""
    reached, todo = set(), {room for start, room in direct if start == above and room != below}
    while todo:
        room = todo.pop()
        reached.add(room)
        todo |= {lower for start, lower in direct if start == room} - reached
    return below in reached


def _room(parts: list[str]) -> str:
    return parts[0] if parts and parts[0] in FLOORS else GROUND


if __name__ == "__main__":
    print(diagram())
