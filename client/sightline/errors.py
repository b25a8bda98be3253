"""The one error tree. Every edge (HTTP, gRPC, command line) translates from here and decides nothing.

SightlineError                internal             500
├── InputError                invalid_input        400   the caller can mend it
│   ├── NoImageError          no_image             400
│   ├── InvalidOptionError    invalid_option       400
│   ├── NotAnImageError       not_an_image         415
│   ├── TruncatedImageError   truncated_image      422
│   ├── TooManyPixelsError    too_many_pixels      413
│   ├── BodyTooLargeError     body_too_large       413
│   ├── NotAVideoError        not_a_video          415
│   ├── MediaTypeError        unsupported_media    415
│   └── MethodError           method_not_allowed   405
├── UnauthorizedError         unauthorized         401
├── NotFoundError             not_found            404
│   └── ModelNotFoundError    model_not_found      404
├── OverloadedError           overloaded           503   we refuse; try again
├── RateLimitError            rate_limited         429   this caller asks too often; try again
├── StreamError               stream_unavailable   503   a camera or stream gives no frames; try again
└── ServingError              serving_error        502   the model server's side
    ├── UnavailableError      serving_unavailable  503   not reachable, or not ready; try again
    ├── ExhaustedError        serving_exhausted    503   too busy; try again
    ├── DeadlineError         serving_timeout      504
    └── SignatureError        signature            502   the model is not one we understand
"""

from __future__ import annotations

from typing import Any, ClassVar


class SightlineError(Exception):
    """Base of all errors that Sightline raises on purpose.

    Args:
        detail: one sentence that names what was wrong and what would be right.
        retry_after: seconds after which trying again makes sense, if it does.
    """

    code: ClassVar[str] = "internal"  # stable; programs match on it
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retry_after_default: ClassVar[float | None] = None  # seconds

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = self.retry_after_default if retry_after is None else retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.retry_after is not None

    def problem(self) -> dict[str, Any]:
        """This error as an RFC 9457 problem document, with its `code`."""
        return {
            "type": f"urn:sightline:error:{self.code}",
            "title": self.title,
            "status": self.http_status,
            "detail": self.detail,
            "code": self.code,
        }


class InputError(SightlineError):
    """The request itself is wrong; sending it again unchanged cannot help."""

    code = "invalid_input"
    http_status = 400
    title = "Invalid input"


class NoImageError(InputError):
    """The request holds no image."""

    code = "no_image"
    title = "No image"


class InvalidOptionError(InputError):
    """An option is unknown, of the wrong kind or out of range."""

    code = "invalid_option"
    title = "Invalid option"


class NotAnImageError(InputError):
    """The bytes are of no image format that we read."""

    code = "not_an_image"
    http_status = 415
    title = "Not an image"


class TruncatedImageError(InputError):
    """The bytes begin as an image and then end early or are damaged."""

    code = "truncated_image"
    http_status = 422
    title = "Image is cut short or damaged"


class TooManyPixelsError(InputError):
    """The header announces more pixels than the limit."""

    code = "too_many_pixels"
    http_status = 413
    title = "Image has too many pixels"


class BodyTooLargeError(InputError):
    """More bytes than the limit."""

    code = "body_too_large"
    http_status = 413
    title = "Request body is too large"


class NotAVideoError(InputError):
    """There is no video that we read: no file, no stream of pictures in it, or damaged from the start."""

    code = "not_a_video"
    http_status = 415
    title = "Not a video"


class MediaTypeError(InputError):
    """The declared content type is none that this route takes."""

    code = "unsupported_media"
    http_status = 415
    title = "Unsupported media type"


class MethodError(InputError):
    """The address is right and the HTTP method is not."""

    code = "method_not_allowed"
    http_status = 405
    title = "Method not allowed"


class UnauthorizedError(SightlineError):
    """No API key, or an unknown one."""

    code = "unauthorized"
    http_status = 401
    title = "Unauthorized"


class NotFoundError(SightlineError):
    """There is nothing at that address."""

    code = "not_found"
    http_status = 404
    title = "Not found"


class ModelNotFoundError(NotFoundError):
    """Serving has no such model, version or label."""

    code = "model_not_found"
    title = "Model not found"


class OverloadedError(SightlineError):
    """We refuse work to stay responsive."""

    code = "overloaded"
    http_status = 503
    title = "Overloaded"
    retry_after_default = 1.0


class RateLimitError(SightlineError):
    """This caller has used up what it may ask for now."""

    code = "rate_limited"
    http_status = 429
    title = "Too many requests"
    retry_after_default = 1.0


class StreamError(SightlineError):
    """A camera or stream cannot be opened, or gives no frames."""

    code = "stream_unavailable"
    http_status = 503
    title = "Stream unavailable"
    retry_after_default = 1.0


class ServingError(SightlineError):
    """TensorFlow Serving answered with an error that is not the caller's."""

    code = "serving_error"
    http_status = 502
    title = "Model server error"


class UnavailableError(ServingError):
    """TensorFlow Serving cannot be reached, or the model is not ready."""

    code = "serving_unavailable"
    http_status = 503
    title = "Model server unavailable"
    retry_after_default = 1.0


class ExhaustedError(ServingError):
    """TensorFlow Serving has no room for the call: RESOURCE_EXHAUSTED, whatever ran out.

    Its threads for calls are all busy, a run waited in the batching queue for as long as it may, memory is
    short, or the message is larger than gRPC was told to take; the detail says which. A full batching queue
    is UNAVAILABLE in its words, and an `UnavailableError` here.
    """

    code = "serving_exhausted"
    http_status = 503
    title = "Model server is too busy"
    retry_after_default = 1.0


class DeadlineError(ServingError):
    """TensorFlow Serving did not answer in time."""

    code = "serving_timeout"
    http_status = 504
    title = "Model server timed out"


class SignatureError(ServingError):
    """The model's signature is none that Sightline understands; the detail names what was found."""

    code = "signature"
    title = "Signature not understood"


def every_error() -> tuple[type[SightlineError], ...]:
    """All classes of the tree, the base first; for translators, documentation and the tests of both."""
    found: list[type[SightlineError]] = []
    rest: list[type[SightlineError]] = [SightlineError]
    while rest:
        cls = rest.pop(0)
        found.append(cls)
        rest.extend(cls.__subclasses__())
    return tuple(found)
