"""Who may ask, how often, and what a browser may do with the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, Response, g, request
from flask_cors import CORS
from limits import parse_many
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from werkzeug.middleware.proxy_fix import ProxyFix

from sightline.errors import RateLimitError, UnauthorizedError
from sightline_serving.gateway.keys import ApiKeys
from sightline_serving.gateway.settings import Settings

# What a probe, a scraper or a reader of the documentation asks needs no key.
OPEN_BLUEPRINTS: Final = frozenset({"health", "page", "documentation"})
HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
# Of everything but the page, which brings its own: nothing in an answer is to be run or shown as a page.
CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


def install(app: Flask, settings: Settings) -> None:
    """Guard every route of the application."""
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies)  # type: ignore[method-assign]
    if settings.cors_origins:
        CORS(app, origins=list(settings.cors_origins), expose_headers=["X-Request-ID", "Server-Timing"])
    app.after_request(_headers)
    if settings.api_keys is not None:
        app.before_request(_key_check(ApiKeys(settings.api_keys)))
    if settings.rate_limit is not None:
        app.before_request(_rate_check(settings.rate_limit, settings.rate_store))


def _headers(response: Response) -> Response:
    for name, value in HEADERS:
        response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _open() -> bool:
    """Whether the address is open to all; one that does not exist says so to everybody."""
    return request.method == "OPTIONS" or request.blueprint is None or request.blueprint in OPEN_BLUEPRINTS


def _key_check(keys: ApiKeys) -> Callable[[], None]:
    def check() -> None:
        if _open():
            return
        key = _given_key()
        if not key:
            raise UnauthorizedError("send your API key as `Authorization: Bearer KEY` or as `X-API-Key: KEY`")
        owner = keys.owner(key)
        if owner is None:
            raise UnauthorizedError("this API key is not known")
        g.caller = owner

    return check


def _given_key() -> str:
    """Where the API's own callers, DOODS's and DeepStack's put it."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    key = request.headers.get("X-API-Key") or request.headers.get("Doods-Auth-Key")
    if not key and request.endpoint == "dropin.deepstack":
        key = request.form.get("api_key")
    return key or ""


def _rate_check(rate: str, store: str) -> Callable[[], None]:
    limiter = MovingWindowRateLimiter(storage_from_string(store))
    limits = parse_many(rate)

    def check() -> None:
        if _open():
            return
        caller = g.get("caller") or request.remote_addr or ""
        for limit in limits:
            if not limiter.hit(limit, caller):
                reset = limiter.get_window_stats(limit, caller).reset_time
                wait = max(reset - g.began_at, 1.0)
                raise RateLimitError(f"more than {limit}; try again in {wait:.0f} s", retry_after=wait)

    return check
