"""The detector behind the gateway, as the settings describe it."""

from __future__ import annotations

from pathlib import Path

import grpc

from sightline.detector import Serving
from sightline.label_files import read_labels
from sightline.tf_serving import ServingStub
from sightline_serving.gateway.settings import Settings


def connect(settings: Settings) -> Serving:
    """A detector that asks TensorFlow Serving; it connects at its first call."""
    stub = ServingStub(settings.serving, timeout=settings.timeout, credentials=_credentials(settings))
    return Serving(
        stub,
        model=settings.model,
        labels=read_labels(settings.labels) if settings.labels else None,
        max_pixels=settings.max_pixels,
        timeout=settings.timeout,
    )


def _credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    """TLS if an authority is set, mutual TLS if a certificate of ours is too."""
    if settings.tls_ca is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=settings.tls_ca.read_bytes(),
        private_key=_read(settings.tls_key),
        certificate_chain=_read(settings.tls_certificate),
    )


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
