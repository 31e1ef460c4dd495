"""Imports run one way, from the commands down to the ground, and no room outgrows its name."""

import ast

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


def test_no_module_and_no_function_is_too_long_to_read_at_once():
    long = []
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        if (lines := text.count("\n")) > 300:
            long.append(f"{path.name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (lines := node.end_lineno - node.lineno + 1) > 50:
                long.append(f"{path.name}: {node.name}, {lines} lines")
    assert long == []
