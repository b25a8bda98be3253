"""The command line in TensorFlow's own manner: `--flag=value`, `--flag value`, `--flag`, `--noflag`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import Field
from typing import Any

from sightline_serving.model_server.options import Options, every_flag

PROGRAM = "sightline-model-server"
HELP_WIDTH = 100  # columns

_INT32 = (-(2**31), 2**31 - 1)  # the kinds of the official flags
_INT64 = (-(2**63), 2**63 - 1)
MOST_FLOAT = 1_000_000  # of seconds, which waits can still be told, or a fraction

_BOOLEANS = {
    "true": True,
    "1": True,
    "t": True,
    "yes": True,
    "false": False,
    "0": False,
    "f": False,
    "no": False,
}


class FlagError(ValueError):
    """A flag that is unknown or has no sound value."""


class HelpRequested(Exception):  # noqa: N818 - asked for, not an error
    """`--help` was given."""


def parse(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """The options, and a warning for each flag that was set and has no effect.

    Raises:
        FlagError: names the flag and what would be right.
        HelpRequested: `--help` or `-h` was among them.
    """
    known = {flag.name: flag for flag in every_flag()}
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in ("--help", "-h", "-help"):
            raise HelpRequested
        if not argument.startswith("-") or argument in ("-", "--"):
            raise FlagError(f"unknown argument: {argument}")
        name, has_value, text = argument.lstrip("-").partition("=")
        flag, negated = _find(known, name)
        if flag is None:
            raise FlagError(f"unknown argument: {argument}")
        if negated:
            if has_value:
                raise FlagError(f"--{name} takes no value; --{flag.name}={text} does")
            given[flag.name] = False
        elif has_value:
            given[flag.name] = _convert(flag, text)
        elif _kind(flag) is bool:
            # As in TensorFlow, a bare boolean is true, but `--flag false` is understood as well.
            given[flag.name] = _BOOLEANS[rest.pop(0).lower()] if _is_boolean(rest) else True
        elif rest:
            given[flag.name] = _convert(flag, rest.pop(0))
        else:
            raise FlagError(f"--{flag.name} needs a value: {flag.metadata['help']}")
    return Options(**given), list(_warnings(known[name] for name in given))


def _find(known: dict[str, Field[Any]], name: str) -> tuple[Field[Any] | None, bool]:
    if name in known:
        return known[name], False
    positive = known.get(name.removeprefix("no")) if name.startswith("no") else None
    return (positive, True) if positive is not None and _kind(positive) is bool else (None, False)


def _kind(flag: Field[Any]) -> type:
    return type(flag.default)


def _is_boolean(rest: Sequence[str]) -> bool:
    return bool(rest) and rest[0].lower() in _BOOLEANS


def _convert(flag: Field[Any], text: str) -> Any:
    kind = _kind(flag)
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise FlagError(f"--{flag.name}={text}: expected true or false")
        return _BOOLEANS[text.lower()]
    try:
        value = kind(text)
    except ValueError:
        raise FlagError(f"--{flag.name}={text}: expected a number") from None
    if kind is int and flag.name.endswith("port") and not 0 <= value <= 65535:
        raise FlagError(f"--{flag.name}={text}: expected a port, 0 to 65535")
    least, most = (0, MOST_FLOAT) if kind is float else _INT64 if flag.name.endswith("_micros") else _INT32
    if not least <= value <= most:
        raise FlagError(f"--{flag.name}={text}: expected a number from {least} to {most}")
    return value


def _warnings(flags: Iterable[Field[Any]]) -> Iterable[str]:
    for flag in flags:
        if flag.metadata["no_effect"]:
            yield f"--{flag.name} has no effect here: {flag.metadata['no_effect']}"


def usage() -> str:
    """What `--help` prints."""
    lines = [f"usage: {PROGRAM} --model_base_path=FOLDER [--flag=value ...]", "", "Flags:"]
    for flag in every_flag():
        default = str(flag.default).lower() if _kind(flag) is bool else repr(flag.default)
        lines.append(f"  --{flag.name}={default}  ({_kind(flag).__name__})")
        text = flag.metadata["help"]
        if flag.metadata["no_effect"]:
            text += f" Accepted, no effect: {flag.metadata['no_effect']}."
        elif flag.metadata["ours"]:
            text += " Not a flag of the official binary."
        lines.extend(textwrap.wrap(text, HELP_WIDTH, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)
