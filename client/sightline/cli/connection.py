"""The options that say whom to ask, shared by every command that asks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from sightline.cli.ranges import FiniteRange
from sightline.contract import API_KEY_VARIABLE, GATEWAY_VARIABLE, ModelRef

if TYPE_CHECKING:
    from sightline.interface import Detector

DEFAULT_GATEWAY: Final = "http://127.0.0.1:8080"


class ModelType(click.ParamType[ModelRef]):
    """`NAME`, `NAME/versions/3` or `NAME/labels/stable`, as in the service's addresses."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ModelRef:
        try:
            return ModelRef.of(value)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


@dataclass(frozen=True, slots=True)
class Connection:
    """Whom to ask, as the options gave it; can be sent to another process, which then connects itself."""

    gateway: str | None
    serving: str | None
    model: ModelRef | None
    timeout: float | None  # seconds
    api_key: str | None
    labels: str | None  # a label file, or the word coco

    def open(self) -> Detector:
        """Connect. The way that is not used is not even imported."""
        options: dict[str, Any] = {} if self.timeout is None else {"timeout": self.timeout}
        if self.serving is not None:
            from sightline.detector import Serving
            from sightline.label_files import read_labels

            assert self.model is not None  # noqa: S101  # the options were checked
            labels = None if self.labels is None else read_labels(self.labels)
            return Serving(self.serving, model=self.model, labels=labels, **options)
        from sightline.http import Gateway

        # Files are sent as they are; the only arrays that a command sends are frames.
        options |= {"model": self.model, "api_key": self.api_key, "arrays_as": "jpeg"}
        return Gateway(self.gateway or DEFAULT_GATEWAY, **options)

    def __str__(self) -> str:
        return (
            f"Serving at {self.serving}" if self.serving else f"gateway at {self.gateway or DEFAULT_GATEWAY}"
        )


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, and hand it a `Connection` as its argument `connection`."""

    @click.option(
        "--gateway",
        metavar="URL",
        envvar=GATEWAY_VARIABLE,
        show_envvar=True,
        help=f"Ask over HTTP.  [default: {DEFAULT_GATEWAY}]",
    )
    @click.option(
        "--serving", metavar="HOST:PORT", help="Ask TensorFlow Serving directly over gRPC; needs --model."
    )
    @click.option(
        "--model",
        type=ModelType(),
        metavar="NAME",
        help="NAME, NAME/versions/3 or NAME/labels/stable; the gateway has a default.",
    )
    @click.option(
        "--timeout",
        type=FiniteRange(min=0.001),
        metavar="SECONDS",
        help="For one request, its retries included.  [default: 30; with --serving 10]",
    )
    @click.option(
        "--api-key", envvar=API_KEY_VARIABLE, show_envvar=True, help="For a gateway that wants one."
    )
    @click.option(
        "--labels",
        type=click.Path(path_type=str),
        metavar="FILE",
        help="With --serving, for a model without a card: its label file, or the word coco.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        gateway: str | None,
        serving: str | None,
        model: ModelRef | None,
        timeout: float | None,
        api_key: str | None,
        labels: str | None,
        **rest: Any,
    ) -> Any:
        ctx = click.get_current_context()
        if serving is not None and gateway:
            if ctx.get_parameter_source("gateway") is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError("give --gateway or --serving, not both")
            gateway = None  # an explicit --serving goes before the environment
        if serving is not None:
            check_serving(serving)
        else:
            _check_gateway(gateway or DEFAULT_GATEWAY, api_key)
        if serving and model is None:
            raise click.UsageError("--serving needs --model NAME: TensorFlow Serving has no default model")
        if labels is not None:
            _check_labels(labels, serving)
        connection = Connection(gateway, serving, model, timeout, api_key, labels)
        return command(*args, connection=connection, **rest)

    return wrapped


def check_serving(serving: str) -> None:
    """Say that `--serving` is no address.

    Raises:
        click.BadParameter: it is none.
    """
    from sightline.serving_address import check_serving_address

    try:
        check_serving_address(serving)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--serving") from None


def _check_gateway(gateway: str, api_key: str | None) -> None:
    from sightline.gateway_address import check_url, key_header

    try:
        check_url(gateway)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--gateway") from None
    try:
        key_header(api_key)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--api-key") from None


def _check_labels(labels: str, serving: str | None) -> None:
    from sightline.label_files import read_labels

    if serving is None:
        raise click.UsageError("--labels is for --serving; a gateway has labels of its own")
    try:
        read_labels(labels)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--labels") from None


def option_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--threshold` and its like, and hand it `DetectOptions` as `options`."""

    @click.option("--threshold", type=FiniteRange(0, 1), help="Least score.  [default: the model card's]")
    @click.option("--max-detections", type=click.IntRange(min=1), help="Boxes per picture.")
    @click.option("--class", "classes", multiple=True, metavar="LABEL", help="Keep only this; repeatable.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        threshold: float | None,
        max_detections: int | None,
        classes: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        from sightline.contract import DEFAULT_MAX_DETECTIONS
        from sightline.errors import InvalidOptionError
        from sightline.options import DetectOptions

        try:
            options = DetectOptions(threshold, max_detections or DEFAULT_MAX_DETECTIONS, classes or None)
        except InvalidOptionError as fault:
            raise click.UsageError(fault.detail) from None
        return command(*args, options=options, **rest)

    return wrapped
