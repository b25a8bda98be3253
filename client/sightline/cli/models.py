"""`sightline models`: which models there are, in what state, and what each says of itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

import click
import orjson

from sightline.cli.connection import Connection, connection_options
from sightline.cli.exits import Exit
from sightline.contract import ModelRef
from sightline.errors import ModelNotFoundError
from sightline.served_models import ServedModel


@click.command()
@connection_options
@click.option("--card", is_flag=True, help="Show the model's card instead: labels, input size, metrics.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def models_command(*, connection: Connection, card: bool, as_json: bool) -> None:
    """List the models and the states of their versions; with --model that one, or that version, alone.

    TensorFlow Serving lists none, so with --serving it is always the one that --model names.
    """
    with closing(connection.open()) as detector:
        if card:
            told = detector.card(connection.model)
            if told is None:
                click.echo("the model carries no card", err=True)
                raise SystemExit(Exit.REFUSED)
            plain = told.to_dict()
            click.echo(orjson.dumps(plain, option=0 if as_json else orjson.OPT_INDENT_2))
            raise SystemExit(Exit.OK)
        for model in _asked_for(connection.model, detector.models()):
            if as_json:
                click.echo(orjson.dumps(asdict(model)))
                continue
            mark = " (default)" if model.default else ""
            for status in model.versions:
                click.echo(f"{model.name}{mark}\t{status.version}\t{status.state}\t{status.error}".rstrip())
            if not model.versions:
                click.echo(f"{model.name}{mark}\tno version")
    raise SystemExit(Exit.OK)


def _asked_for(wanted: ModelRef | None, models: list[ServedModel]) -> list[ServedModel]:
    if wanted is None:
        return models
    found = [model for model in models if model.name == wanted.name]
    if not found:
        there = ", ".join(model.name for model in models) or "none"
        raise ModelNotFoundError(f"the gateway lists no model {wanted.name!r}; it lists {there}")
    return found
