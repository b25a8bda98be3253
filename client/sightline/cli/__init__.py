"""The command line: arguments in, records and exit codes out; nothing imports it."""

from sightline.cli.main import main

__all__ = ["main"]
