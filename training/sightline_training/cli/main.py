"""The commands of `sightline-train` and how their errors are told."""

from __future__ import annotations

import sys
from typing import Final

import click

from sightline.errors import InputError, SightlineError
from sightline.interruption import interruptible

_FAILED: Final = 1
_WRONG_INPUT: Final = 2  # what click itself ends with for a wrong option
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it; for SIGTERM too


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sightline-training")
def cli() -> None:
    """Labelled pictures in, a version that TensorFlow Serving loads out."""


def main() -> None:
    """Run a command; every error becomes one line and an exit code here."""
    from sightline_training.cli import data, model  # noqa: F401 - they add their commands to `cli`

    try:
        with interruptible(_INTERRUPTED):
            cli.main(standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing half-written is left", err=True)
        sys.exit(_INTERRUPTED)
    except SightlineError as fault:
        click.echo(f"error: {fault.detail}", err=True)
        sys.exit(_WRONG_INPUT if isinstance(fault, InputError) else _FAILED)
    except OSError as fault:
        where = f" {fault.filename}" if fault.filename else ""
        click.echo(f"error: cannot read or write{where}: {fault.strerror or fault}", err=True)
        sys.exit(_FAILED)
