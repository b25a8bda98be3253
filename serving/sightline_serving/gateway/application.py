"""Flask, with a short way through it for the routes that need nothing of it but the request.

Contexts, proxies, signals and sessions are small each, and together they are most of what a request costs
beside its picture: 4,600 of Python's instructions, of which 2,100 are left (docs/decisions/0065). A route
that is a `View` is a function of the request alone, so it is called without them. Which way a request goes
changes nothing else: addresses come from Flask's map, and the rules on who may ask and the translation of
errors are the same functions, called from one place each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

import flask
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wsgi import get_content_length, get_path_info

from sightline_serving.gateway.forms import FormReader
from sightline_serving.gateway.header_values import content_type
from sightline_serving.gateway.observe import NOTED, Noted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_REMEMBERED: Final = 128  # addresses, of up to 64 KB, as callers may make some up
_DIRECT: Final = frozenset({"GET", "POST"})  # HEAD and OPTIONS are answered by Flask itself


class Request(flask.Request):
    """A request."""

    form_data_parser_class = FormReader
    max_form_memory_size = None  # the body's limit is the limit
    max_form_parts = 1000  # Flask's own number, without asking its configuration at each form

    @property
    def mimetype(self) -> str:
        """The media type of the body, in small letters and without parameters."""
        return content_type(self.environ.get("CONTENT_TYPE", ""))[0]

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type, such as a form's boundary."""
        return content_type(self.environ.get("CONTENT_TYPE", ""))[1]

    @property
    def content_length(self) -> int | None:
        """Bytes of the body; None where they are not told. Read without making an object of the headers."""
        return get_content_length(self.environ)

    @property
    def noted(self) -> Noted:
        """What is noted of it, for its line in the log and the metrics."""
        noted: Noted = self.environ[NOTED]
        return noted


class Response(flask.Response):
    """Flask's. One that is there as a whole goes to the server as a list, which takes it in one piece."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        whole = self.status_code == HTTPStatus.OK and self.is_sequence and not self._on_close
        if not whole or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return cast(list[bytes], self.response)


class Answer(NamedTuple):
    """An answer that is there as a whole."""

    body: bytes
    content_type: str
    status: int = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()

    def for_flask(self) -> Response:
        """As Flask takes it."""
        return Response(self.body, self.status, list(self.headers), content_type=self.content_type)

    def for_wsgi(self, start_response: StartResponse) -> list[bytes]:
        """As a WSGI server takes it."""
        described = [("Content-Type", self.content_type), ("Content-Length", str(len(self.body)))]
        start_response(_status_line(self.status), [*described, *self.headers])
        return [self.body]


@lru_cache
def _status_line(status: int) -> str:
    return f"{status:d} {HTTPStatus(status).phrase}"


Operation: TypeAlias = Callable[..., Answer]  # of a `Request`, and of what its address names


class View:
    """A route that is a function of the request, and of what its address names, alone."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    def __call__(self, **place: Any) -> Response:
        """As Flask calls it."""
        return self.operation(_present(), **place).for_flask()


def _present() -> Request:
    """The request that Flask is at."""
    return cast(Request, request_ctx.request)


class Application(flask.Flask):
    """The gateway's Flask.

    Args:
        name: of the package.
        failed: translates any error of any route.
        max_body: bytes of a request, where its route sets no other limit.
        direct: whether views are called the short way; not where an extension has to see each request.
    """

    request_class = Request
    response_class = Response

    def __init__(
        self, name: str, failed: Callable[[Exception, Request], Answer], *, max_body: int, direct: bool
    ) -> None:
        super().__init__(name, static_folder=None)
        self.config["MAX_CONTENT_LENGTH"] = self._max_body = max_body
        self._failed = failed
        self._direct = direct
        self.checks: list[Callable[[Request], None]] = []  # each may refuse a request by raising
        self._found = lru_cache(_REMEMBERED)(self._find)
        self.before_request(lambda: self._begin(_present()))
        self.register_error_handler(Exception, lambda fault: self._translate(fault, _present()).for_flask())

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, the short way if it leads to a view."""
        method = environ["REQUEST_METHOD"]
        found = self._found(method, environ["PATH_INFO"]) if self._direct and method in _DIRECT else None
        if found is None:
            return super().wsgi_app(environ, start_response)
        view, rule, place = found
        # In its own environment it would hold itself, and its body, until Python's collector of cycles comes.
        request = Request(environ, populate_request=False)
        request.url_rule, request.view_args = rule, dict(place)
        request.max_content_length = self._max_body
        try:
            self._begin(request)
            answer = view.operation(request, **place)
        except Exception as fault:  # as Flask does
            answer = self._translate(fault, request)
        finally:
            if "files" in vars(request):  # a form was read, which may have opened some
                request.close()
        return answer.for_wsgi(start_response)

    def _translate(self, fault: Exception, request: Request) -> Answer:
        """An error of any route as its answer; and the end of its traceback.

        Its frames hold the body, and one that raises an error which it was given holds that: a cycle again.
        """
        answer = self._failed(fault, request)
        fault.__traceback__ = None
        return answer

    def _begin(self, request: Request) -> None:
        """What comes before every route."""
        request.noted.route = request.endpoint or "none"
        for check in self.checks:
            check(request)

    def _find(self, method: str, path: str) -> tuple[View, Rule, Mapping[str, Any]] | None:
        """The view at an address; None for all else, which is Flask's."""
        adapter = self._adapter(method, "/" + get_path_info({"PATH_INFO": path}).lstrip("/"))
        try:
            rule, place = adapter.match(return_rule=True)
        except HTTPException:
            return None
        view = self.view_functions[rule.endpoint]
        return (view, rule, place) if isinstance(view, View) else None

    def _adapter(self, method: str, path: str) -> MapAdapter:
        """By the path alone: no address here depends on the host, and none is built from it."""
        return self.url_map.bind("gateway", path_info=path, default_method=method)

    def create_url_adapter(self, request: flask.Request | None) -> MapAdapter | None:
        """As Flask's."""
        if request is None:
            return super().create_url_adapter(request)
        return self._adapter(request.method, request.path)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: nothing here is a coroutine, and Flask looks at each function at each call."""
        return func
