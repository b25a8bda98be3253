"""The addresses that name a model, as TensorFlow Serving's REST API names it."""

from __future__ import annotations

from typing import Final

MODELS: Final = (
    "/v1/models/<model>",
    "/v1/models/<model>/versions/<int:version>",
    "/v1/models/<model>/labels/<label>",
)


def action(name: str) -> tuple[str, ...]:
    """The addresses of an action: on the default model, and on a named one."""
    return (f"/v1/{name}", *(f"{model}:{name}" for model in MODELS))
