"""The gateway as a WSGI application, built from its parts."""

from __future__ import annotations

from functools import partial

import cv2
from flask import Flask

from sightline.detector import Serving
from sightline_serving.gateway import acquaintance, observe, problems, security
from sightline_serving.gateway.application import Application
from sightline_serving.gateway.ending import Ending
from sightline_serving.gateway.fetching import Fetcher
from sightline_serving.gateway.gate import Gate
from sightline_serving.gateway.ledger import Ledger
from sightline_serving.gateway.metrics import Metrics
from sightline_serving.gateway.parts import Parts
from sightline_serving.gateway.requests import Limits
from sightline_serving.gateway.routes import (
    addresses,
    detect,
    documentation,
    dropin,
    health,
    models,
    page,
    video,
)
from sightline_serving.gateway.serving_connection import connect
from sightline_serving.gateway.settings import Settings
from sightline_serving.gateway.shadow import Rollout, Shadow


def create_app(settings: Settings, detector: Serving | None = None, *, ending: Ending | None = None) -> Flask:
    """Build the application; call it in the worker, because gRPC channels do not survive a fork.

    Args:
        settings: of this gateway.
        detector: what finds the objects; None connects to `settings.serving`.
        ending: tells when the worker was told to end; None is never told.
    """
    cv2.setNumThreads(1)  # requests are the parallelism; OpenCV's own threads would only contend
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # a broken picture is the caller's news, not the log's
    # Extensions of Flask's see only what goes all the way through Flask.
    direct = not (settings.tracing or settings.cors_origins)
    app = Application(__name__, problems.answer, max_body=settings.max_body, direct=direct)
    if settings.tracing:  # before a channel is made, so that it is traced too
        from sightline_serving.gateway import tracing

        tracing.install(app)
    parts = assemble(settings, detector, ending or Ending())
    app.url_map.converters.update({"int": addresses.Version, "default": addresses.Name})
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # an address is right or not: no redirects
    observe.install(app, parts.ledger)
    security.install(app, settings, parts.guard)
    for routes in (detect, video, models, dropin, health, documentation, page):
        app.register_blueprint(routes.blueprint(parts))
    if detector is None:
        acquaintance.make(parts.detector.catalog, parts.expected_refs())
    return app


def assemble(settings: Settings, detector: Serving | None, ending: Ending) -> Parts:
    """The parts that the routes share."""
    metrics = Metrics()
    # Each tells the other, so one is named before it is there.
    ledger = Ledger(partial(observe.book, metrics), lambda: metrics.in_flight.set(gate.in_flight))
    gate = Gate(settings.max_in_flight, settings.threads, settings.timeout, ledger.expect)
    detector = detector or connect(settings)
    shadow = None
    if settings.shadow_label is not None:
        shadow = Shadow(
            detector,
            metrics.shadow,
            label=settings.shadow_label,
            share=settings.shadow_share,
            timeout=settings.timeout,
        )
    return Parts(
        settings=settings,
        detector=detector,
        metrics=metrics,
        ledger=ledger,
        gate=gate,
        limits=Limits(settings.max_images, settings.max_detections),
        fetcher=Fetcher(settings.url_hosts, settings.max_body),
        guard=security.Guard(settings),
        rollout=Rollout(settings.label, settings.canary_label, settings.canary_share),
        shadow=shadow,
        ending=ending,
    )
