"""What a push is asked to do: refused if it makes no sense, else made an order that a kernel is built to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from humanmade import recipe as recipes
from humanmade.errors import UserError
from humanmade.kaggle import weights
from humanmade.kaggle.bundle import Order, slug
from humanmade.kaggle.client import Client


@dataclass(frozen=True)
class Request:
    """A push as the user words it; kernels and datasets go without their owner where that is the user."""

    kernel: str
    recipe: str = ""
    settings: tuple[str, ...] = ()
    hours: float = 11.0
    runs: tuple[str, ...] = ()
    resume: bool = False
    attach: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what a kernel has no use for, or lacks.

        Raises:
            UserError: naming the option.
        """
        if (self.kernel == "blend") == bool(self.recipe):
            need = "takes no --recipe" if self.recipe else "needs --recipe, a shipped name or a .toml file"
            raise UserError(f"push {self.kernel}: {need}")
        if (self.kernel == "train") == bool(self.runs):
            need = "takes no --run" if self.runs else "needs --run, a kernel whose outputs it takes up"
            raise UserError(f"push {self.kernel}: {need}")
        if self.resume and self.kernel != "train":
            raise UserError(f"push {self.kernel}: only train can --resume")

    def order(self, owner: str) -> Order:
        """The order with a run id of its own, for a user of this name."""
        return Order(
            kernel=self.kernel,
            recipe=self.recipe,
            owner=owner,
            run_id=secrets.token_hex(8),
            settings=self.settings,
            hours=self.hours,
            runs=tuple(_owned(owner, name) for name in self.runs),
            resume=f"{owner}/{slug(self.kernel, self.recipe)}" if self.resume else "",
            weights=tuple(self._datasets(owner)),
        )

    def require_weights(self, client: Client) -> None:
        """Refuse datasets of weights that the kernel would start without.

        Raises:
            UserError: one is not there, or not ready.
        """
        for reference, advice in self._datasets(client.owner).items():
            weights.require_ready(client, reference, advice)

    def _datasets(self, owner: str) -> dict[str, str]:
        """Datasets of weights, as `owner/slug`, each with what to do where it is not there."""
        if self.attach or not self.recipe:
            return {_owned(owner, name): "give another --attach" for name in self.attach}
        advice = "humanmade weights push {} uploads these weights; --attach names another dataset with them"
        names = weights.of_recipe(recipes.load(self.recipe, self.settings))
        return {f"{owner}/{weights.slug(name)}": advice.format(name) for name in names}


def _owned(owner: str, name: str) -> str:
    """A kernel or dataset with its owner, who is the user unless given."""
    return name if "/" in name else f"{owner}/{name}"
