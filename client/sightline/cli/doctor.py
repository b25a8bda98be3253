"""`sightline doctor`: does an export, or a server that runs it, keep the contract?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import click
import orjson

from sightline.cli.connection import ModelType, check_serving
from sightline.cli.exits import Exit
from sightline.cli.ranges import FiniteRange
from sightline.contract import ModelRef

_COLOURS: Final = {"pass": "green", "fail": "red", "skipped": "yellow"}
_TOLD: Final = {"pass": "passed", "fail": "failed", "skipped": "skipped"}


@click.command()
@click.argument("folder", required=False, metavar="[MODEL_DIR]", type=click.Path(exists=True, path_type=Path))
@click.option("--serving", metavar="HOST:PORT", help="Examine the model on this server; needs --model.")
@click.option(
    "--model", type=ModelType(), metavar="NAME", help="NAME, NAME/versions/3 or NAME/labels/stable."
)
@click.option(
    "--start-server/--no-start-server",
    default=True,
    help="Run the folder's model by sightline-model-server, where that is installed.  [default: do]",
)
@click.option("--timeout", type=FiniteRange(min=0.001), metavar="SECONDS", help="For one request.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object per check.")
def doctor_command(
    *,
    folder: Path | None,
    serving: str | None,
    model: ModelRef | None,
    start_server: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Check an exported model or a live server, line by line.

    MODEL_DIR is MODELS/NAME/VERSION, MODELS/NAME or MODELS: of each model the version that TensorFlow
    Serving would serve. With --serving too, that server is held against the folder that it is said to run.

    Exits with 1 if a check fails. A skipped check says what it needs.
    """
    if folder is None and serving is None:
        raise click.UsageError("name MODEL_DIR, or --serving HOST:PORT with --model NAME")
    if (serving is None) != (model is None):
        raise click.UsageError("--serving and --model go together: which model, on which server")
    if serving is not None:
        check_serving(serving)
    from sightline.doctor import examination
    from sightline.doctor.examination import DEFAULT_TIMEOUT

    counts: Counter[str] = Counter()
    subject = ""
    for result in examination(
        folder, serving=serving, model=model, start_server=start_server, timeout=timeout or DEFAULT_TIMEOUT
    ):
        counts[result.outcome.value] += 1
        if as_json:
            click.echo(orjson.dumps(result.to_dict()))
            continue
        if result.subject != subject:
            subject = result.subject
            click.echo(click.style(subject, bold=True))
        click.echo("  " + click.style(str(result), fg=_COLOURS[result.outcome.value]))
    if not as_json:
        click.echo(", ".join(f"{counts[word]} {told}" for word, told in _TOLD.items()))
    raise SystemExit(Exit.SOME_FAILED if counts["fail"] else Exit.OK)
