"""The group of commands; each is imported when it is called, so that `--help` and completion are quick."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from sightline.cli.exits import exits

# command -> (module, the click command in it, one line of help)
_COMMANDS: Final = {
    "detect": ("sightline.cli.detect", "detect_command", "Find the objects in pictures."),
    "video": ("sightline.cli.video", "video_command", "Find the objects in a video."),
    "stream": ("sightline.cli.stream", "stream_command", "Find the objects in a live stream or camera."),
    "batch": ("sightline.cli.batch", "batch_command", "Find the objects in many pictures and videos."),
    "models": ("sightline.cli.models", "models_command", "List the models and their versions."),
    "doctor": ("sightline.cli.doctor", "doctor_command", "Check an exported model or a live server."),
    "bench": ("sightline.cli.bench", "bench_command", "Measure a service under load."),
    "completion": ("sightline.cli.completion", "completion_command", "Print what a shell needs to complete."),
}


# OpenCV and its FFmpeg would write to standard error beside our own messages; who wants to hear them says so.
_QUIET: Final = {"OPENCV_LOG_LEVEL": "ERROR", "OPENCV_FFMPEG_LOGLEVEL": "-8"}


class LazyGroup(click.Group):
    """A group that knows its commands by name and one line, and loads a command to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        for variable, level in _QUIET.items():
            os.environ.setdefault(variable, level)
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by who began the command
                setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        with exits():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("sightline"), prog_name="sightline")
def main() -> None:
    """Ask a detection service for boxes: over HTTP, or straight from TensorFlow Serving over gRPC.

    \b
    Exit codes:
      0    all inputs were done
      1    some inputs failed; the others were done
      2    the command was called wrongly
      3    the service cannot be reached, is too busy or too slow: try again
      4    the service refuses: unknown model, unknown signature, no API key
      5    a local file cannot be read or written
      130  interrupted
    """
