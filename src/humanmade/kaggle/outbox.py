"""What a kernel leaves: listed with hashes while it works and at its end, packed where it is too much."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from humanmade import files, run
from humanmade.kaggle import packing
from humanmade.kaggle.outputs import CACHE, MOST_OUTPUTS, OUTPUTS, RUNS

LOOK_SECONDS = 30.0
"""Between two looks for folds that were finished: what is listed survives a kernel that is killed."""
BEGUN = (run.RECIPE, run.FOLDS, run.PICTURES, run.SCORES)
"""What a run has before its first fold is finished."""
CACHED = ("pictures", "features", "counterparts")
"""Parts of the cache that spare the next session work, the dearest for their size first."""
MOST_CACHED = 6 * 2**30
"""Bytes of the cache that an unfinished session leaves to the next one; Kaggle keeps 20 GB."""


@dataclass
class Outbox:
    """The folder of a kernel's outputs."""

    folder: Path
    run_id: str
    hashes: dict[tuple[str, int, int], str] = field(default_factory=dict)
    """By name, size and time."""

    def write(self, paths: Iterable[Path], unfinished: bool) -> None:
        """Write `outputs.json`: the run id, and outputs with their hashes."""
        names = {path.relative_to(self.folder).as_posix(): path for path in sorted(paths) if path.is_file()}
        listed = {name: self._hash(name, path) for name, path in names.items()}
        size = sum(path.stat().st_size for path in names.values())
        outputs = {"run_id": self.run_id, "unfinished": unfinished, "bytes": size, "files": listed}
        files.write_json(self.folder / OUTPUTS, outputs)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """List the finished folds of what runs inside, as soon as they are."""
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()

    def close(self, unfinished: bool, cache: Path) -> None:
        """List everything, each fold as one archive where Kaggle would not show all files.

        Args:
            cache: of an unfinished session is left for the next one, unlisted: nobody pulls it.
        """
        for path in self.folder.glob(f"{RUNS}/**/.*"):
            path.unlink(missing_ok=True)  # half-written by a process that was ended
        if unfinished:
            self._keep(cache)
        if len(self._all()) >= MOST_OUTPUTS:
            print(f"packing each fold, as Kaggle lists {MOST_OUTPUTS} outputs at most", flush=True)
            for folder in self.folder.glob(f"{RUNS}/*"):
                packing.pack_folds(folder)
        self.write(self._all(), unfinished)

    def _all(self) -> list[Path]:
        # Kaggle itself keeps __notebook__.ipynb there, and still writes to it.
        made = [*self.folder.glob("[!._]*"), *self.folder.glob(f"{RUNS}/**/*")]
        return [path for path in made if path.is_file() and path.name not in (OUTPUTS, CACHE)]

    def _finished(self) -> list[Path]:
        """Finished folds, and what makes their folder a run."""
        done = list(self.folder.glob(f"{RUNS}/*/fold*/{run.DONE}"))
        begun = [fold.parents[1] / name for fold in done for name in BEGUN]
        return [*dict.fromkeys(begun), *(path for fold in done for path in fold.parent.rglob("[!.]*"))]

    def _watch(self, ended: threading.Event) -> None:
        known = 0
        while not ended.wait(LOOK_SECONDS):
            finished = self._finished()
            if len(finished) > known:
                self.write(finished, unfinished=True)
                known = len(finished)

    def _keep(self, cache: Path) -> None:
        kept: list[Path] = []
        left = MOST_CACHED
        for part in (cache / name for name in CACHED):
            size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
            if size <= left:
                kept, left = [*kept, part], left - size
            else:
                print(f"{part.name}: {size / 1e9:.1f} GB are too many to keep; --resume makes them anew")
        if left < MOST_CACHED:
            print(
                f"keeping {(MOST_CACHED - left) / 1e9:.1f} GB of features and the like for --resume",
                flush=True,
            )
            packing.pack(kept, self.folder / CACHE)

    def _hash(self, name: str, path: Path) -> str:
        stamp = (name, path.stat().st_size, path.stat().st_mtime_ns)
        if stamp not in self.hashes:
            self.hashes[stamp] = files.sha256(path)
        return self.hashes[stamp]
