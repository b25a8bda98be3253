"""One JSON object a line on standard error."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

import orjson

# What every record has; the rest of its attributes came in as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as JSON: time, level, logger, message, the extra fields that are set, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: value
            for name, value in vars(record).items()
            if name not in _STANDARD and value not in (None, "")
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def spare_records() -> None:
    """Have records made without what no line tells: each would be asked for at each record."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def configuration(level: str) -> dict[str, Any]:
    """For logging.config.dictConfig; granian takes the same, for its own lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        # Granian warns of more threads than cores; here most of them wait, on purpose.
        "loggers": {"_granian": {"level": "INFO" if level == "debug" else "ERROR"}},
    }
