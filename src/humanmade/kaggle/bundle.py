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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import humanmade
from humanmade import files, recipe
from humanmade.errors import UserError

ROOT = Path(humanmade.__file__).parent
METADATA = "kernel-metadata.json"
LIMIT = 900_000
"""Bytes of a script; Kaggle's server refuses 1 MB and more."""
LONGEST = 12
"""Hours of a session on Kaggle."""
PACKED = (".py", ".toml", ".typed")
IMAGE = {
    *("PIL", "albumentations", "cv2", "imagehash", "jinja2", "kaggle", "matplotlib", "numpy", "pandas"),
    *("click", "safetensors", "scipy", "six", "sklearn", "timm", "torch", "torchvision", "tqdm"),
}
"""What Kaggle's image ships and the package may import when a module is loaded."""
REFERENCE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Order:
    """What a push fills into a kernel."""

    kernel: str
    """Folder under kernels/: train, predict, blend."""
    recipe: str
    """A shipped recipe's name or the path of a .toml file; predict takes its views; empty for blend."""
    owner: str
    """Kaggle user name."""
    run_id: str
    """Fresh for each push; the kernel writes it into outputs.json."""
    settings: tuple[str, ...] = ()
    """`key=value`: of the recipe (for predict only `views`), or options of the blend."""
    hours: float = 11.0
    """Time budget of training; the other kernels have none of their own."""
    runs: tuple[str, ...] = ()
    """`owner/slug` of the kernels whose runs are predicted with or blended."""
    resume: str = ""
    """`owner/slug` of an earlier session whose run is gone on with."""
    weights: tuple[str, ...] = ()
    """`owner/slug` of private datasets with pretrained weights."""


def slug(kernel: str, recipe: str) -> str:
    """Name of a kernel on Kaggle, 5 to 50 characters; its title slugs to exactly this."""
    stem = Path(recipe).stem if recipe.endswith(".toml") else recipe
    name = re.sub(r"[^a-z0-9]+", "-", f"humanmade-{kernel}-{stem}".lower()).strip("-")
    if len(name) <= 50:
        return name
    return f"{name[:43].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def build(order: Order, out: Path) -> Path:
    """Write `out/kernels/<slug>/` with the script and its metadata, whole or not at all.

    Returns:
        The folder; an earlier build of it is replaced.

    Raises:
        UserError: no such kernel, a bad order, or a script too large for Kaggle.
    """
    source = _kernel_folder(order.kernel)
    _check(order)
    name = slug(order.kernel, order.recipe)
    script = _script(source / f"{order.kernel}.py", order)
    metadata = _metadata(source / METADATA, order, name)
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
import ast, importlib, pathlib, pkgutil, sys
tree = ast.parse(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
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


def _check(order: Order) -> None:
    """Refuse what would only fail on Kaggle."""
    wanted = recipe.load(order.recipe, order.settings) if order.recipe else None
    for member in wanted.members if isinstance(wanted, recipe.EnsembleRecipe) else []:
        if member.endswith(".toml"):
            raise UserError(f"recipe: members names {member}; a kernel carries shipped members only")
    useless = [each for each in order.settings if order.kernel == "predict" and not each.startswith("views=")]
    if useless:
        raise UserError(f"--set {useless[0]}: runs predict as they were trained; only views= can be set")
    if not 0 < order.hours <= LONGEST:
        raise UserError(f"hours {order.hours:g}: a session lasts at most {LONGEST}; give fewer")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", order.owner):
        raise UserError(f"owner '{order.owner}': not a Kaggle user name")
    for reference in (*order.runs, *order.weights, *filter(None, [order.resume])):
        if not REFERENCE.fullmatch(reference):
            raise UserError(f"'{reference}': expected owner/slug, as in the kernel's or dataset's address")


def _metadata(path: Path, order: Order, name: str) -> dict[str, Any]:
    metadata = files.read_json(path, ("id", "title", "code_file"), "restore the file")
    kernels = [*order.runs, *filter(None, [order.resume])]
    return metadata | {
        "id": f"{order.owner}/{name}",
        "title": name.replace("-", " "),
        "code_file": f"{name}.py",
        "dataset_sources": [*metadata["dataset_sources"], *order.weights],
        "kernel_sources": [*metadata["kernel_sources"], *kernels],
    }


def _script(path: Path, order: Order) -> str:
    """The prelude with the package inside, then the kernel's own lines with the order filled in."""
    packed, sizes = _pack(order.recipe)
    text = packed.decode()
    lines = "\n".join(text[i : i + 100] for i in range(0, len(text), 100))
    prelude = _fill(
        (ROOT / "kaggle/prelude.py").read_text(encoding="utf-8"),
        {"PACKAGE": f'"""\n{lines}\n"""', "PACKAGE_SHA256": f'"{hashlib.sha256(packed).hexdigest()}"'},
    )
    values = {
        "RECIPE": Path(order.recipe).stem if order.recipe.endswith(".toml") else order.recipe,
        "SETTINGS": order.settings,
        "HOURS": order.hours,
        "RUNS": order.runs,
        "RESUME": order.resume,
        "RUN_ID": order.run_id,
    }
    kernel = path.read_text(encoding="utf-8")
    for key, value in values.items():
        if key != "HOURS" and value and f"\n{key} = " not in kernel:
            raise UserError(f"kernel '{order.kernel}': takes no {key.lower()}, and {value!r} was given")
    given = {key: repr(value) for key, value in values.items() if f"\n{key} = " in kernel}
    script = f"{prelude}\n{_fill(kernel, given)}"
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
        name = f"humanmade/recipes/{Path(own_recipe).name}"
        text = Path(own_recipe).read_text(encoding="utf-8")
        if texts.get(name, text) != text:
            raise UserError(f"{own_recipe}: a shipped recipe has this name and says otherwise; rename it")
        texts[name] = text
    ordered = dict(sorted(texts.items()))
    packed = lzma.compress(json.dumps(ordered, ensure_ascii=False).encode(), preset=9 | lzma.PRESET_EXTREME)
    return base64.b85encode(packed), {
        name: len(lzma.compress(text.encode())) for name, text in ordered.items()
    }


def _fill(script: str, values: dict[str, str]) -> str:
    """Give top-level names of a script their values."""
    for name, value in values.items():
        line = f"{name} = {value}".replace("\\", r"\\")
        script, found = re.subn(rf"(?m)^{name} = .*$", line, script)
        assert found == 1, f"{name} stands {found} times in a script"
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
