"""What the official server answers when it cannot: a canonical code and a message.

Clients of TensorFlow Serving match on these messages, so each is written where the official source writes
it, word for word. The two edges (gRPC, REST) translate the code and decide nothing.
"""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """The canonical codes that gRPC, absl and TensorFlow share."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class StatusError(Exception):
    """A request or a load that ended with a status other than OK.

    Args:
        code: the canonical code.
        message: the text that the client reads.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """As absl prints a status: `INVALID_ARGUMENT: message`."""
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> StatusError:
    """The request is wrong whatever state the server is in."""
    return StatusError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """What was asked for does not exist."""
    return StatusError(Code.NOT_FOUND, message)


def failed_precondition(message: str) -> StatusError:
    """The request is sound, but not for the model as it is."""
    return StatusError(Code.FAILED_PRECONDITION, message)


def unavailable(message: str) -> StatusError:
    """Try again later."""
    return StatusError(Code.UNAVAILABLE, message)


def internal(message: str) -> StatusError:
    """Something that should not happen."""
    return StatusError(Code.INTERNAL, message)


def unimplemented(message: str) -> StatusError:
    """Not offered here."""
    return StatusError(Code.UNIMPLEMENTED, message)
