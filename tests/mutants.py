"""Break the laws' modules one small change at a time; the tests beside a module must notice each.

`python -m tests.mutants` changes one operator or number of one module of `LAWS` (a mutant), runs the tests
that mirror the module, and says which mutants they let live. Nothing is written: a child process imports the
changed text in place of the file's. Mutants that change nothing anyone could see are named in `EQUIVALENT`,
each with its reason. `docs/reliability.md` says how to read what it prints.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAWS = (
    *("data/folds", "submission", "metrics", "ledger", "fusion", "files", "evaluation/significance"),
    *("data/manifest", "looks"),
)
"""Modules whose rules everything else stands on."""

SKLEARN = ("sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection")
PATIENCE = 60
"""Seconds of wall clock that the tests of one mutant may take; an endless loop is noticed too."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{
        ast.Lt: ast.LtE,
        ast.LtE: ast.Lt,
        ast.Gt: ast.GtE,
        ast.GtE: ast.Gt,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
    },
    **{
        ast.In: ast.NotIn,
        ast.NotIn: ast.In,
        ast.Is: ast.IsNot,
        ast.IsNot: ast.Is,
        ast.And: ast.Or,
        ast.Or: ast.And,
    },
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
"""What each operator becomes."""

EQUIVALENT: dict[str, str] = {
    f"{module}: {line.replace('@', before)} -> {line.replace('@', after)}".replace("|", " "): why
    for module, line, changed, why in (
        (
            "fusion",
            "model.fit(logits, 2.0 * labels @, sample_weight=np.concatenate(sizes))",
            ["-|1 +|1", "-|1 -|0", "-|1 -|2"],
            "the intercept takes it up",
        ),
        (
            "metrics",
            "return {(photo, generator): auc(np.repeat([0, @], [len(zeros), len(ones)]), "
            "np.concatenate([zeros, ones])) for photo, zeros in photos for generator, ones in fakes}",
            ["1 2"],
            "an AUC is of two labels, whatever the larger is",
        ),
        (
            "metrics",
            "curve = @ * hits / (hits + weight * false_alarms + truth.sum())",
            ["2 3", "2 1"],
            "where a curve is highest does not hang on its unit",
        ),
        (
            "files",
            "handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name[:@]}.', suffix=SCRATCH)",
            ["100 101", "100 99"],
            "how much of a name a scratch file has",
        ),
        (
            "ledger",
            "alone = runs[@].scores if len(noted['runs']) == len(runs) == 1 else None",
            ["0 -1"],
            "of one run the first is the last",
        ),
        (
            "metrics",
            "return float(true[false @ fpr + 1e-09].max())",
            ["<= <"],
            "no share is that tiny number above the one allowed",
        ),
        ("files", "umask = os.umask(@)", ["0 1", "0 -1"], "it can be read by setting it alone, to anything"),
    )
    for before, after in map(str.split, changed)
}
"""Mutants that nobody could see, by `module: line -> changed line`, and why."""


@dataclass(frozen=True)
class Mutant:
    """One changed module."""

    module: str
    line: int
    before: str
    after: str
    text: Callable[[], str]
    """The whole module, changed; to be asked for before the next mutant is."""

    def __str__(self) -> str:
        return f"{self.module}: {self.before} -> {self.after}"


def changes(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    """What may be done to a node of a copy of the tree, each returning the node that takes its place."""
    match node:
        case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
            yield lambda copied: _with(copied, "ops", [SWAPS[type(node.ops[0])]()])
        case ast.BinOp() | ast.BoolOp() if type(node.op) in SWAPS:
            yield lambda copied: _with(copied, "op", SWAPS[type(node.op)]())
        case ast.UnaryOp(op=ast.Not() | ast.Invert() | ast.USub()):
            yield lambda copied: copied.operand  # type: ignore[attr-defined]
        case ast.Constant() if type(node.value) is int:
            yield lambda copied: _with(copied, "value", node.value + 1)
            yield lambda copied: _with(copied, "value", node.value - 1)
        case ast.Constant() if type(node.value) is float:
            yield lambda copied: _with(copied, "value", 2 * node.value or 1.0)
        case ast.Return() if node.value and not _is_none(node.value):
            yield lambda copied: _with(copied, "value", ast.Constant(None))


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module; what asserts and annotations say stays."""
    tree = ast.parse((ROOT / "src/humanmade" / f"{module}.py").read_text(encoding="utf-8"))
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    for parent, name, place, node in _walk(tree):
        if not any(changes(node)):
            continue
        line = node.lineno  # type: ignore[attr-defined]
        around = [one for one in statements if one.lineno <= line <= (one.end_lineno or line)]
        statement: ast.AST = max(around, key=lambda one: (one.lineno, -(one.end_lineno or 0)))
        before = _in_a_line(statement)
        for change in changes(node):
            changed = change(copy.copy(node))
            _put(parent, name, place, changed)
            after = _in_a_line(changed if statement is node else statement)
            yield Mutant(module, line, before, after, lambda: ast.unparse(tree))
            _put(parent, name, place, node)


def _walk(parent: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """All nodes that run, each with the field of its parent, and the place there, that holds it."""
    for name, value in ast.iter_fields(parent):
        if isinstance(parent, ast.Assert) or name in ("annotation", "returns"):
            continue
        for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST):
                yield parent, name, place, node
                yield from _walk(node)


def _put(parent: ast.AST, name: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[place] = node


def _with(node: ast.AST, name: str, value: object) -> ast.AST:
    setattr(node, name, value)
    return node


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _in_a_line(statement: ast.AST) -> str:
    """A statement without what is in its block."""
    head = copy.copy(statement)
    for block in ("body", "orelse", "finalbody", "handlers"):
        if isinstance(getattr(head, block, None), list):
            setattr(head, block, [])
    return " ".join(ast.unparse(head).split())


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module changed, and no other."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = "humanmade." + mutant.module.replace("/", ".")
        self.path = str(ROOT / "src/humanmade" / f"{mutant.module}.py")
        self.text = mutant.text()

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=self.path)
        spec.has_location = True
        return spec

    def get_source(self, fullname: str) -> str:
        return self.text


def lives(mutant: Mutant, tests: list[str]) -> bool:
    """Whether the tests pass in a child process that imports the mutant; what takes too long is noticed."""
    changed, child = _Changed(mutant), os.fork()
    if not child:
        os.setsid()
        sink = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(sink, stream)
        sys.meta_path.insert(0, changed)
        import pytest

        code = 1
        try:
            code = int(
                pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants", *tests])
            )
        finally:
            os._exit(code)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def prepare() -> None:
    """Import what is slow, but nothing of the kit, once for all children."""
    os.environ |= {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    import hypothesis

    for name in ("pytest", "pydantic", "pandas", "scipy.sparse.csgraph", "scipy.stats", *SKLEARN):
        importlib.import_module(name)
    # A failure is a failure: nothing is kept of it and nobody looks for a smaller one.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", phases=phases, max_examples=40, database=None, deadline=None, derandomize=True
    )


def main() -> None:
    """Print a line a module and every mutant that lives; exit with 1 if one does that is not known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("modules", nargs="*", default=LAWS)
    parser.add_argument("--share", type=float, default=1.0, help="of all mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    prepare()
    rng, surprises = random.Random(chosen.seed), 0
    for module in chosen.modules:
        folder, _, name = module.rpartition("/")
        tests = [str(ROOT / "tests" / folder / f"test_{name}.py")]
        counts, started = Counter[str](), time.monotonic()
        for mutant in mutants(module):
            if rng.random() >= chosen.share:
                continue
            known = EQUIVALENT.get(str(mutant))
            fate = "equivalent" if known else "survived" if lives(mutant, tests) else "killed"
            counts[fate] += 1
            if fate == "survived":
                print(f"  line {mutant.line}: {mutant.before}\n    lives as {mutant.after}", flush=True)
        surprises += counts["survived"]
        took = time.monotonic() - started
        print(f"{module}: {dict(counts)} of {counts.total()} mutants in {took:.0f} s", flush=True)
    sys.exit(1 if surprises else 0)


if __name__ == "__main__":
    main()
