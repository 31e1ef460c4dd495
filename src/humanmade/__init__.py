"""humanmade: tell human-made pictures from generated ones.

    import humanmade
    run = humanmade.cv("probe_lite0", data="my_pictures")
    print(run.predict("photo.jpg"))

The functions are those of `humanmade.api`, which is imported when the first of them is asked for.
"""

from typing import TYPE_CHECKING

from humanmade.errors import UserError

if TYPE_CHECKING:
    from humanmade.api import Blend, Trained, audit, blend, compare, cv, load, report

__version__ = "0.1.0"
__all__ = ["Blend", "Trained", "UserError", "audit", "blend", "compare", "cv", "load", "report"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'humanmade' has no attribute '{name}'")
    import os

    # Set before anything imports albumentations, which else asks its package index at import.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    from humanmade import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
