"""What holds connections goes to another process as what it was made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Self

_OF_THIS_PROCESS: Final = ("transport", "credentials")  # keyword arguments that hold something open or secret


class MadeAnew:
    """Of a class whose copies are made with the same arguments, and so have connections of their own.

    Processes that are started afresh (multiprocessing's `spawn`, joblib, Dask, Ray, the workers of a data
    loader) are given their objects by pickle. An API key goes along.
    """

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._made_with = args, kwargs
        return made

    def __reduce__(self) -> tuple[Callable[[], Self], tuple[()]]:
        kind, (args, kwargs) = type(self), self._made_with
        for name in _OF_THIS_PROCESS:
            if kwargs.get(name) is not None:
                words = f"a {kind.__name__} with {name} of its own cannot be copied"
                raise TypeError(f"{words}; make it in the process that uses it")
        return partial(kind, *args, **kwargs), ()
