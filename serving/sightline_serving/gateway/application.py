"""Flask without what no request here needs: each part is small, and all of them are run by every request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import flask
from werkzeug.http import parse_options_header
from werkzeug.routing import MapAdapter

from sightline_serving.gateway.forms import FormReader

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Request(flask.Request):
    """A request."""

    form_data_parser_class = FormReader

    @property
    def mimetype(self) -> str:
        """The media type of the body, in small letters and without parameters."""
        return _media_type(self.environ.get("CONTENT_TYPE", ""))


@lru_cache(maxsize=256)  # nearly all callers send the same few
def _media_type(header: str) -> str:
    return parse_options_header(header)[0].lower()


class Response(flask.Response):
    """An answer. One that is there as a whole goes to the server as a list, which takes it in one piece."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        whole = self.status_code == HTTPStatus.OK and self.is_sequence and not self._on_close
        if not whole or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return cast(list[bytes], self.response)


class Application(flask.Flask):
    """The gateway's Flask."""

    request_class = Request
    response_class = Response

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: nothing here is a coroutine, and Flask looks at each function at each call."""
        return func

    def create_url_adapter(self, request: flask.Request | None) -> MapAdapter | None:
        """By the path alone: no address here depends on the host, and none is built from it."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind("gateway", path_info=request.path, default_method=request.method)
