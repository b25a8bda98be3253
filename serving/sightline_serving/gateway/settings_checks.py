"""What the value of a setting has to be beyond its type.

Each check gives the value back, or raises a ValueError whose text says what would be right.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from limits import parse_many
from limits.errors import ConfigurationError
from limits.storage import storage_from_string

from sightline.contract import ModelRef
from sightline.label_files import read_labels
from sightline_serving.gateway.keys import ApiKeys

IN_MEMORY: Final = "memory://"
SHARED_STORES: Final = ("redis://", "rediss://")
ANY_ORIGIN: Final = "*"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:]+(:[0-9]{1,5})?|null", re.IGNORECASE)
_HOST: Final = re.compile(r"[^\s/:@]+")


def address(value: str) -> str:
    """An IP address to listen on."""
    try:
        if "%" in value:  # a zone, which the server does not take
            raise ValueError
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("write an IP address: 127.0.0.1, ::1, or 0.0.0.0 for all") from None
    return value


def model_name(value: str) -> str:
    """The name of a model, without version or label."""
    try:
        alone = ModelRef.of(value) == ModelRef(value.strip()) and ":" not in value
    except ValueError:
        alone = False
    if not alone:
        raise ValueError("write the model's name alone, without `/`, `:`, `@` or blanks around it")
    return value


def model_names(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names of several models."""
    for value in values:
        try:
            model_name(value)
        except ValueError as fault:
            raise ValueError(f"{value!r} is no model; {fault}") from None
    return values


def label(value: str) -> str:
    """A version label."""
    if not value or "/" in value or ":" in value or value != value.strip():
        raise ValueError("write a label without `/`, `:` or blanks around it, or leave the variable out")
    return value


def labels(value: str) -> str:
    """What `read_labels` reads."""
    read_labels(value)
    return value


def api_keys(path: Path) -> Path:
    """A file of keys."""
    ApiKeys(path)
    return path


def rate(value: str) -> str:
    """How often a caller may ask."""
    if not all(item.amount for item in parse_many(value)):
        raise ValueError("nobody could ask; write at least 1")
    return value


def rate_store(value: str) -> str:
    """Where requests are counted. Nothing is asked there yet, as it may come up after us."""
    if value == IN_MEMORY:
        return value
    if not value.startswith(SHARED_STORES) or not urlsplit(value).hostname:
        raise ValueError(f"write {IN_MEMORY} or redis://host:port")
    try:
        storage_from_string(value)
    except (ConfigurationError, ValueError) as fault:
        raise ValueError(f"write {IN_MEMORY} or redis://host:port; {fault}") from None
    return value


def origins(values: tuple[str, ...]) -> tuple[str, ...]:
    """Origins as browsers send them."""
    for value in values:
        if value != ANY_ORIGIN and not _ORIGIN.fullmatch(value):
            raise ValueError(
                f"{value!r} is no origin; write https://host or https://host:port, without a path"
            )
    return values


def hosts(values: tuple[str, ...]) -> tuple[str, ...]:
    """Names of hosts, without scheme, port and path."""
    for value in values:
        if not _HOST.fullmatch(value) and not _is_ip(value):
            raise ValueError(f"{value!r} is no host; write its name alone, such as pictures.example.org")
    return values


def authority(path: Path) -> Path:
    """A file of certificates that others are checked against."""
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        raise ValueError(f"it holds no certificate in PEM that can be read: {_words(fault)}") from None
    return path


def key_pair(certificate: Path, key: Path) -> None:
    """A certificate and its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as fault:
        raise ValueError(
            f"they are no certificate and its key, in PEM, unencrypted: {_words(fault)}"
        ) from None


def tracing(value: bool) -> bool:
    """Whether traces are wanted, which takes an extra."""
    if value and importlib.util.find_spec("opentelemetry.instrumentation.flask") is None:
        raise ValueError("traces need the extra: pip install 'sightline-serving[tracing]'")
    return value


def _words(fault: Exception) -> str:
    return getattr(fault, "reason", None) or getattr(fault, "strerror", None) or str(fault)


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
