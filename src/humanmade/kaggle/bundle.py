"""The package packed into one script or notebook, and the folder that is pushed as a kernel."""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import humanmade
from humanmade import competition, files, recipe
from humanmade.errors import UserError
from humanmade.kaggle import MACHINE
from humanmade.kaggle.push_request import PushRequest

ROOT = Path(humanmade.__file__).parent
METADATA = "kernel-metadata.json"
LIMIT = 900_000
"""Bytes of a script; Kaggle's server refuses 1 MB and more."""
NOTEBOOK = ".ipynb"
PACKED = (".py", ".toml", ".typed")


def build(request: PushRequest, out: Path) -> Path:
    """Write `out/kernels/<slug>/` with the script and its metadata, whole or not at all.

    Returns:
        The folder; an earlier build of it is replaced.

    Raises:
        UserError: no such kernel, a bad request, or a script too large for Kaggle.
    """
    source, name = check(request), request.slug
    script = _script(source, request)
    metadata = _metadata(source, request)
    folder = out / "kernels" / name
    code_file = str(metadata["code_file"])
    surplus = sorted(path.name for path in folder.glob("*") if path.name not in (METADATA, code_file))
    if surplus:
        raise UserError(f"{folder}: holds {surplus[0]}, which is not of a build; move it away")
    files.make_folder(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".build-") as scratch:
        made = Path(scratch) / name
        files.write_text(made / code_file, script)
        files.write_json(made / METADATA, metadata)
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
    return folder


def self_test(folder: Path) -> str:
    """Unpack a built script in an empty folder and import all of it, as Kaggle would.

    Returns:
        One line for the user.

    Raises:
        UserError: the package is damaged, or does not import.
    """
    metadata = files.read_json(folder / METADATA, ("code_file",), "build it again")
    script = folder / str(metadata["code_file"])
    print(f"{folder}: unpacking it and importing all of it, as Kaggle would", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-I", "-c", _IMPORT_ALL, str(script.resolve())]
        done = subprocess.run(
            command,
            cwd=scratch,
            env=os.environ | {"TMPDIR": scratch},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was ended"])[-1]
        raise UserError(f"{script}: does not import ({reason}); build it again")
    return f"{script}: {script.stat().st_size / 1000:.0f} kB; its {done.stdout.strip()} modules import"


# Run by self_test: the script's own head as on Kaggle, then every module of what it unpacked.
_IMPORT_ALL = """
import ast, importlib, json, pathlib, pkgutil, sys
text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
if sys.argv[1].endswith(".ipynb"):
    text = "\\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if "outputs" in cell)
tree = ast.parse(text)
mine = [getattr(node, "module", None) or "" for node in tree.body]
tree.body = tree.body[: next(i for i, name in enumerate(mine) if name.startswith("humanmade"))]
exec(compile(tree, sys.argv[1], "exec"), {"__name__": "__main__"})
import humanmade
assert pathlib.Path(humanmade.__file__).resolve().is_relative_to(pathlib.Path.cwd()), humanmade.__file__
names = [module.name for module in pkgutil.walk_packages(humanmade.__path__, "humanmade.")]
for name in names:
    importlib.import_module(name)
print(len(names) + 1)
"""


def _kernel_folder(kernel: str) -> Path:
    places = [ROOT.parents[1] / "kernels", Path("kernels")]
    kernels = next((place for place in places if place.is_dir()), None)
    if kernels is None:
        raise UserError("kernels/: not found beside src/ nor in this folder; push from a checkout")
    known = sorted(path.parent.name for path in kernels.glob(f"*/{METADATA}"))
    if kernel not in known:
        raise UserError(f"kernel '{kernel}': not found; in {kernels}: {', '.join(known) or 'none'}")
    return kernels / kernel


def _code_file(folder: Path) -> Path:
    """The script or notebook of a kernel's folder."""
    return next(path for path in folder.glob(f"{folder.name}.*") if path.suffix in (".py", NOTEBOOK))


def _metadata(folder: Path, request: PushRequest) -> dict[str, Any]:
    """What Kaggle is told of a kernel: its own file, and what follows from request and competition."""
    metadata = files.read_json(folder / METADATA, ("enable_gpu", "enable_internet"), "restore the file")
    contest = competition.CURRENT
    return metadata | {
        **({"machine_shape": MACHINE} if metadata["enable_gpu"] else {}),
        "id": request.reference,
        "title": request.slug.replace("-", " "),
        "code_file": f"{request.slug}{_code_file(folder).suffix}",
        "competition_sources": [contest.slug],
        "dataset_sources": [contest.dataset, *request.datasets, *request.owned(request.extra)],
        "model_sources": [*request.models],
        "kernel_sources": [*request.owned(request.runs), *[request.reference] * request.resume],
    }


def _values(request: PushRequest) -> dict[str, Any]:
    """What can be filled into a kernel, by the name that its script gives it."""
    return {
        "RECIPE": Path(request.recipe).stem if request.recipe.endswith(".toml") else request.recipe,
        "SETTINGS": request.settings,
        "HOURS": request.hours,
        "RUNS": request.owned(request.runs),
        "RESUME": request.reference * request.resume,
        "CV_OPTIONS": request.options.words,
        "EXTRA": request.owned(request.extra),
        "RUN_ID": request.run_id,
    }


OPTIONS = {
    "RECIPE": "--recipe, a shipped name or a .toml file",
    "RUNS": "--run, a kernel whose outputs it takes up",
    "RESUME": "--resume",
    "CV_OPTIONS": "--limit, --fold, --folds, --seed or --skip-broken",
    "EXTRA": "--extra",
}
"""The options of `push` behind the values that not every kernel takes."""
NEEDED = ("RECIPE", "RUNS")
"""Those without which a kernel that takes them has nothing to do."""


def _taken(code: str) -> list[str]:
    """Names of the values that a kernel's code takes."""
    return re.findall(r"(?m)^([A-Z_]+) = ", code)


def check(request: PushRequest) -> Path:
    """Refuse a request that makes no sense, above all what the kernel's script does not take, or lacks.

    Returns:
        The kernel's folder.

    Raises:
        UserError: naming the option.
    """
    folder = _kernel_folder(request.kernel)
    request.check()
    values, taken = _values(request), _taken(_code(_code_file(folder)))
    for name, option in OPTIONS.items():
        if values[name] and name not in taken:
            raise UserError(f"push {request.kernel}: takes no {option.split(', a')[0]}")
        if name in taken and not values[name] and name in NEEDED:
            raise UserError(f"push {request.kernel}: needs {option}")
    return folder


def _script(folder: Path, request: PushRequest) -> str:
    """The head with the package inside, then the kernel's own lines or cells with the request filled in."""
    packed, values = _pack(request.recipe), _values(request)
    lines = "\n".join(packed[i : i + 100] for i in range(0, len(packed), 100))
    head = _fill(
        (ROOT / "kaggle/script_head.py").read_text(encoding="utf-8"),
        {
            "PACKAGE": f'"""\n{lines}\n"""',
            "PACKAGE_SHA256": f'"{hashlib.sha256(packed.encode()).hexdigest()}"',
        },
    )

    def fill(code: str) -> str:
        return _fill(code, {name: repr(values[name]) for name in _taken(code)})

    script = _behind(head, _code_file(folder), fill)
    if len(script.encode()) > LIMIT:
        raise UserError(
            f"kernel '{request.kernel}': its script has {len(script.encode())} bytes, Kaggle takes {LIMIT}; "
            "most are the package's and the recipe's, so make those smaller"
        )
    return script


def _code(path: Path) -> str:
    """A script, or what a notebook's cells of code hold."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != NOTEBOOK:
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _behind(head: str, path: Path, fill: Callable[[str], str]) -> str:
    """A kernel's code, filled in, behind the head; in a notebook that is a folded cell."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != NOTEBOOK:
        return f"{head}\n{fill(text)}"
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = fill("".join(cell["source"]))
    folded = {"_kg_hide-input": True, "jupyter": {"source_hidden": True}}
    first = {"cell_type": "code", "id": "package", "metadata": folded, "source": head}
    notebook["cells"].insert(0, first | {"execution_count": None, "outputs": []})
    return json.dumps(notebook, ensure_ascii=False)


def _pack(own_recipe: str) -> str:
    """The package as JSON of names and texts, lzma, base85; the same bytes for the same sources."""
    texts = {
        f"humanmade/{path.relative_to(ROOT).as_posix()}": path.read_text(encoding="utf-8")
        for path in sorted(ROOT.rglob("*"))
        if path.suffix in PACKED
    }
    if own_recipe.endswith(".toml"):
        # Written in full, so that an ensemble's members travel with it.
        own, stem = recipe.load(own_recipe), Path(own_recipe).stem
        if stem in recipe.shipped() and recipe.load(stem) != own:
            raise UserError(f"{own_recipe}: a shipped recipe has this name and says otherwise; rename it")
        texts[f"humanmade/recipes/{stem}.toml"] = recipe.to_toml(own)
    text = json.dumps(texts, ensure_ascii=False, sort_keys=True)
    return base64.b85encode(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)).decode()


def _fill(script: str, values: dict[str, str]) -> str:
    """Give top-level names of a script their values."""
    for name, value in values.items():
        line = f"{name} = {value}".replace("\\", r"\\")
        script, count = re.subn(rf"(?m)^{name} = .*$", line, script)
        assert count == 1, f"{name} stands {count} times in a script"
    return script
