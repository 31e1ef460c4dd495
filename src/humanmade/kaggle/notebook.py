"""Where a notebook works: in a kernel on what is attached, at home on data/ or the demo."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from humanmade.data import defaults
from humanmade.kaggle import runtime


@dataclass(frozen=True)
class Desk:
    """Data folders, and what there is to do once the notebook is through."""

    data: Sequence[Path]
    hidden: Path | None
    """Folder with the test pictures' labels, which only the demo has."""
    opened: contextlib.ExitStack

    def close(self) -> None:
        """In a kernel: list what was left, so that `pull` takes it."""
        self.opened.close()


def open_desk(run_id: str) -> Desk:
    """Find the data; in a kernel also the attached weights, and work where outputs are kept.

    Args:
        run_id: of the push; empty at home.

    Raises:
        SystemExit: 2, in a kernel without the competition's data, after one line that says why.
    """
    if not run_id:
        found = defaults.data_or_demo(())
        return Desk(found.folders, found.hidden, contextlib.ExitStack())
    with contextlib.ExitStack() as opened:
        session = opened.enter_context(runtime.session(run_id, gpu=False))
        _, *folders = session.inputs.data()
        os.environ |= {"HUMANMADE_CACHE": str(session.cache), "HF_HUB_OFFLINE": "1"}
        if session.inputs.weights:
            os.environ["HUMANMADE_WEIGHTS"] = session.inputs.weights[1]
        os.chdir(session.working)
        return Desk([Path(folder) for folder in folders[::2]], None, opened.pop_all())
