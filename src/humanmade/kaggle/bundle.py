"""The package packed into one script, and the folder that is pushed as a kernel."""

from __future__ import annotations

import ast
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
from pathlib import Path
from typing import Any

import humanmade
from humanmade import competition, files, recipe
from humanmade.errors import UserError
from humanmade.kaggle import MACHINE, cells
from humanmade.kaggle.orders import Order

ROOT = Path(humanmade.__file__).parent
METADATA = "kernel-metadata.json"
LIMIT = 900_000
"""Bytes of a script; Kaggle's server refuses 1 MB and more."""
PACKED = (".py", ".toml", ".typed")
IMAGE = {
    *("PIL", "albumentations", "click", "cv2", "imagehash", "jinja2", "kaggle", "matplotlib", "numpy"),
    *("pandas", "pydantic", "pydantic_core", "safetensors", "scipy", "six", "sklearn", "timm", "torch"),
    *("torchvision", "tqdm"),
}
"""What Kaggle's image ships and the package may import when a module is loaded."""


def build(order: Order, out: Path) -> Path:
    """Write `out/kernels/<slug>/` with the script and its metadata, whole or not at all.

    Returns:
        The folder; an earlier build of it is replaced.

    Raises:
        UserError: no such kernel, a bad order, or a script too large for Kaggle.
    """
    source = check(order)
    name = order.reference.split("/")[1]
    script = _script(source, order)
    metadata = _metadata(source / METADATA, order)
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
        UserError: the package is damaged, does not import, or needs what Kaggle's image lacks.
    """
    advice = "build it again"
    metadata = files.read_json(folder / METADATA, ("code_file",), advice)
    script = folder / str(metadata["code_file"])
    print(f"{folder}: unpacking it and importing all of it, as Kaggle would", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-I", "-c", _IMPORT_ALL, str(script.resolve())]
        environment = os.environ | {"TMPDIR": scratch}
        done = subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it was ended"])[-1]
            raise UserError(f"{script}: does not import ({reason}); {advice}")
        missing = _not_in_image(Path(scratch))
    if missing:
        raise UserError(f"{script}: {missing}, which Kaggle's image lacks; import it inside a function")
    size = script.stat().st_size / 1000
    return f"{script}: {size:.0f} kB; its {done.stdout.strip()} modules import with what Kaggle's image ships"


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


def _metadata(path: Path, order: Order) -> dict[str, Any]:
    """What Kaggle is told of a kernel: its own file, and what follows from the order and the competition."""
    metadata = files.read_json(path, ("enable_gpu", "enable_internet"), "restore the file")
    name = order.reference.split("/")[1]
    machine = {"machine_shape": MACHINE} if metadata["enable_gpu"] else {}
    return (
        metadata
        | machine
        | {
            "id": order.reference,
            "title": name.replace("-", " "),
            "code_file": f"{name}{cells.code_file(path.parent).suffix}",
            "competition_sources": [competition.CURRENT.slug],
            "dataset_sources": [competition.CURRENT.dataset, *order.weights, *order.extra],
            "model_sources": [*order.models],
            "kernel_sources": [*order.runs, *filter(None, [order.resume])],
        }
    )


def _values(order: Order) -> dict[str, Any]:
    """What can be filled into a kernel, by the name that its script gives it."""
    return {
        "RECIPE": Path(order.recipe).stem if order.recipe.endswith(".toml") else order.recipe,
        "SETTINGS": order.settings,
        "HOURS": order.hours,
        "RUNS": order.runs,
        "RESUME": order.resume,
        "CV_OPTIONS": order.options,
        "EXTRA": order.extra,
        "RUN_ID": order.run_id,
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


def _taken(kernel: str) -> list[str]:
    """Names of the values that a kernel's script takes."""
    return re.findall(r"(?m)^([A-Z_]+) = ", kernel)


def check(order: Order) -> Path:
    """Refuse an order that makes no sense, above all what the kernel's script does not take, or lacks.

    Returns:
        The kernel's folder.

    Raises:
        UserError: naming the option.
    """
    source = _kernel_folder(order.kernel)
    order.check()
    values = _values(order)
    taken = _taken(cells.code(cells.code_file(source)))
    for name, option in OPTIONS.items():
        if values[name] and name not in taken:
            raise UserError(f"push {order.kernel}: takes no {option.split(', a')[0]}")
        if name in taken and not values[name] and name in NEEDED:
            raise UserError(f"push {order.kernel}: needs {option}")
    return source


def _script(folder: Path, order: Order) -> str:
    """The prelude with the package inside, then the kernel's own lines or cells with the order filled in."""
    packed, sizes = _pack(order.recipe)
    text = packed.decode()
    lines = "\n".join(text[i : i + 100] for i in range(0, len(text), 100))
    prelude = _fill(
        (ROOT / "kaggle/prelude.py").read_text(encoding="utf-8"),
        {"PACKAGE": f'"""\n{lines}\n"""', "PACKAGE_SHA256": f'"{hashlib.sha256(packed).hexdigest()}"'},
    )
    values = _values(order)

    def fill(code: str) -> str:
        return _fill(code, {name: repr(values[name]) for name in _taken(code)})

    script = cells.behind(prelude, cells.code_file(folder), fill)
    if len(script.encode()) > LIMIT:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
        listed = ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in largest)
        raise UserError(
            f"kernel '{order.kernel}': its script has {len(script.encode())} bytes, Kaggle takes {LIMIT}; "
            f"the largest parts, packed: {listed}"
        )
    return script


def _pack(own_recipe: str) -> tuple[bytes, dict[str, int]]:
    """The package as JSON of names and texts, lzma, base85; the same bytes for the same sources.

    Returns:
        The bytes, and what each file takes by itself.
    """
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
    ordered = dict(sorted(texts.items()))
    packed = lzma.compress(json.dumps(ordered, ensure_ascii=False).encode(), preset=9 | lzma.PRESET_EXTREME)
    return base64.b85encode(packed), {
        name: len(lzma.compress(text.encode())) for name, text in ordered.items()
    }


def _fill(script: str, values: dict[str, str]) -> str:
    """Give top-level names of a script their values."""
    for name, value in values.items():
        line = f"{name} = {value}".replace("\\", r"\\")
        script, count = re.subn(rf"(?m)^{name} = .*$", line, script)
        assert count == 1, f"{name} stands {count} times in a script"
    return script


def _not_in_image(folder: Path) -> str:
    """Name the first module that imports at its top level what Kaggle's image lacks."""
    allowed = IMAGE | sys.stdlib_module_names | {"humanmade"}
    for path in sorted(folder.rglob("humanmade-*/humanmade/**/*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] not in allowed:
                    return f"{path.name} imports {name}"
    return ""
