"""A certificate that signs itself, by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """The files, in PEM."""

    key: Path
    cert: Path


def self_signed(folder: Path) -> Certificate:
    """Of `localhost`, for a day."""
    subprocess.run(
        (
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", "key.pem", "-out", "cert.pem",
        ),
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return Certificate(folder / "key.pem", folder / "cert.pem")
