"""Telling gRPC how to wait for answers, for programs that make many calls.

With gRPC's event engine two threads of its own pass on every answer; without it the thread that waits reads
its answer itself. docs/decisions/0061 has the numbers.
"""

from __future__ import annotations

import os
from typing import Final

POLLING: Final = ("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")  # name and value


def wait_in_place() -> None:
    """Set it for this process; whoever has set the variable is obeyed.

    For a program to call at its start, not for the library. gRPC reads the variable when it is imported, so
    nothing that was imported before may have imported it.
    """
    os.environ.setdefault(*POLLING)
