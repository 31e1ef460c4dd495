"""Imports run one way, from the commands down to the ground."""

from tests.house import ROOT, diagram, floor, imported


def test_nothing_imports_upwards():
    wrong, seen = [], 0
    for path in ROOT.rglob("*.py"):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts in (["__main__"], ["__init__"]):
            continue  # the doors, which open onto the top
        seen += len(imported(path))
        wrong += [f"{'.'.join(parts)} -> {'.'.join(t)}" for t in imported(path) if floor(t) < floor(parts)]
    assert not wrong and seen > 200


def test_the_documents_diagram_is_made_from_the_imports():
    page = (ROOT.parents[1] / "docs/architecture.md").read_text()
    assert f"```mermaid\n{diagram()}\n```" in page, "python -m tests.house prints it"
