"""`sightline completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_HINTS = {
    "bash": 'eval "$(sightline completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(sightline completion zsh)" in ~/.zshrc',
    "fish": "sightline completion fish > ~/.config/fish/completions/sightline.fish",
}


@click.command(epilog="Put to use: " + "; ".join(_HINTS.values()) + ".")
@click.argument("shell", type=click.Choice(list(_HINTS)))
def completion_command(*, shell: str) -> None:
    """Print the completion script for a SHELL."""
    from sightline.cli.main import main

    script = get_completion_class(shell)
    assert script is not None  # noqa: S101  # the choice holds only what click knows
    click.echo(script(main, {}, "sightline", "_SIGHTLINE_COMPLETE").source())
