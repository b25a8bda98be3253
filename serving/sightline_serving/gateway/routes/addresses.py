"""The addresses that name a model, as TensorFlow Serving's REST API names it."""

from __future__ import annotations

from typing import Final

from werkzeug.routing import BaseConverter, IntegerConverter

from sightline.contract import LAST_VERSION

MODELS: Final = (
    "/v1/models/<model>",
    "/v1/models/<model>/versions/<int:version>",
    "/v1/models/<model>/labels/<label>",
)


class Name(BaseConverter):
    """A model's name or a label in an address: what follows a colon is an action, known or not."""

    regex = "[^/:]+"
    part_isolating = True  # no slash is in it, whatever the expression looks like


class Version(IntegerConverter):
    """A version's number in an address: one that Serving cannot have is not found."""

    regex = r"[0-9]{1,19}"

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"max": LAST_VERSION, **options})  # type: ignore[arg-type]


def action(name: str) -> tuple[str, ...]:
    """The addresses of an action: on the default model, and on a named one."""
    return (f"/v1/{name}", *(f"{model}:{name}" for model in MODELS))
