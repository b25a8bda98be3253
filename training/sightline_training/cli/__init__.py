"""`sightline-train`: arguments only."""

from sightline_training.cli.main import main

__all__ = ["main"]
