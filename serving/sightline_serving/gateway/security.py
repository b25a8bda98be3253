"""Who may ask, how often, and what a browser may do with the answer."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from flask_cors import CORS
from limits import RateLimitItem, parse_many
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from werkzeug.middleware.proxy_fix import ProxyFix

from sightline.errors import RateLimitError, UnauthorizedError
from sightline_serving.gateway.application import Application, Request
from sightline_serving.gateway.keys import ApiKeys
from sightline_serving.gateway.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)
# What a probe, a scraper or a reader of the documentation asks needs no key.
OPEN_BLUEPRINTS: Final = frozenset({"health", "page", "documentation"})
# Of everything but the page, which brings its own: nothing in an answer is to be run or shown as a page.
CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Content-Security-Policy", CONTENT_POLICY),
    ("Cache-Control", "no-store"),
)
EXPOSED: Final = ("X-Request-ID", "Server-Timing", "Retry-After")  # what pages of other origins may read
STORE_PATIENCE: Final = 0.25  # seconds that a request waits for the store of rates
STORE_PAUSE: Final = 2.0  # seconds for which one that did not answer is left alone
_ADDED: Final = frozenset(name for name, _ in HEADERS)

# DeepStack's callers put their key into the form; its view reads that once it has been let in.
FORM_KEY_ENDPOINT: Final = "dropin.deepstack"


class Guard:
    """Says whether a caller may ask now. Safe to share between threads.

    Raises:
        ValueError: the key file cannot be read, or a line of it is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = None if settings.api_keys is None else ApiKeys(settings.api_keys)
        self._rates = () if settings.rate_limit is None else tuple(parse_many(settings.rate_limit))
        # In memory these mean nothing; redis would wait for ever.
        patience = {"socket_timeout": STORE_PATIENCE, "socket_connect_timeout": STORE_PATIENCE}
        self._limiter = MovingWindowRateLimiter(storage_from_string(settings.rate_store, **patience))
        self._store_from = -math.inf  # monotonic time from which the store is asked

    def check(self, request: Request, key: str) -> None:
        """Name the caller, and count the request as theirs.

        Args:
            request: the caller's.
            key: as sent; empty if none was.

        Raises:
            UnauthorizedError: a key is wanted and this is none.
            RateLimitError: this caller has asked too often.
        """
        if self._keys is not None:
            if not key:
                raise UnauthorizedError(
                    "send your API key as `Authorization: Bearer KEY` or as `X-API-Key: KEY`"
                )
            request.noted.caller = self._keys.owner(key)
            if request.noted.caller is None:
                raise UnauthorizedError("this API key is not known")
        caller = request.noted.caller or request.remote_addr or ""
        for rate in self._rates:
            wait = self._wait(rate, caller)
            if wait is not None:
                raise RateLimitError(f"more than {rate}; try again in {wait:.0f} s", retry_after=wait)

    def _wait(self, rate: RateLimitItem, caller: str) -> float | None:
        """Count a request; the seconds to wait where it was one too many.

        A store that fails limits nobody: it protects the service, and is no part of what that answers.
        """
        if time.monotonic() < self._store_from:
            return None
        try:
            if self._limiter.hit(rate, caller):
                return None
            reset = self._limiter.get_window_stats(rate, caller).reset_time
        except self._limiter.storage.base_exceptions as fault:
            self._store_from = time.monotonic() + STORE_PAUSE
            log.warning("requests are not limited, as their store does not answer: %s", fault)
            return None
        return max(reset - time.time(), 1.0)

    def check_form(self, request: Request) -> None:
        """As `check`, for the one route whose callers may put the key into the form."""
        self.check(request, _header_key(request) or request.form.get("api_key", ""))


def install(app: Application, settings: Settings, guard: Guard) -> None:
    """Guard every route of the application."""
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies)  # type: ignore[method-assign]
    if settings.cors_origins:
        CORS(app, origins=list(settings.cors_origins), expose_headers=EXPOSED)
    app.wsgi_app = _with_headers(app.wsgi_app)  # type: ignore[method-assign, assignment]
    if settings.api_keys is None and settings.rate_limit is None:
        return

    def check(request: Request) -> None:
        if not _open(request) and request.endpoint != FORM_KEY_ENDPOINT:
            guard.check(request, _header_key(request))

    app.checks.append(check)


def _with_headers(application: WSGIApplication) -> WSGIApplication:
    """HEADERS in every answer, but those that it brings itself."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *fault: Any) -> Any:
            given = [name for name, _ in headers]
            added = (
                HEADERS if _ADDED.isdisjoint(given) else [item for item in HEADERS if item[0] not in given]
            )
            return start_response(status, [*headers, *added], *fault)

        return application(environ, start)

    return answer


def _open(request: Request) -> bool:
    """Whether the address is open to all; one that does not exist says so to everybody."""
    return request.method == "OPTIONS" or request.blueprint is None or request.blueprint in OPEN_BLUEPRINTS


def _header_key(request: Request) -> str:
    """Where the API's own callers and DOODS's put it."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("X-API-Key") or request.headers.get("Doods-Auth-Key") or ""
