"""Whether all ways in give the same answers: AP of the same held-out pictures, asked in four ways.

    make parity DATA=droids RUN=runs/droids MODEL=models/droids      # a minute; writes bench/parity.md

Pixels in process are resized here as training resizes them; `encoded_images` decodes and resizes inside
the graph; gRPC is the client's own line, as the gateway uses it; HTTP is the gateway.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sightline import DetectOptions, Gateway, Result, Serving
from sightline.contract import (
    DEFAULT_MAX_DETECTIONS,
    INPUT_IMAGES,
    OUTPUT_BOXES,
    OUTPUT_CLASSES,
    OUTPUT_COUNT,
    OUTPUT_SCORES,
    SIGNATURE_ENCODED,
)

LIMIT: Final = 0.5  # points of AP (hundredths) by which a way may differ from pixels in process
PIXELS, ENCODED, GRPC, HTTP = "pixels, in process", "encoded_images, in process", "gRPC", "HTTP"
HERE: Final = Path(__file__).parent
_ALL: Final = DetectOptions(threshold=0.0)
_BATCH: Final = 8  # pictures; decoded ones of cameras are large

Outputs = dict[str, NDArray[np.float32]]  # the contract's four outputs for all pictures, in order


@dataclass(frozen=True, slots=True)
class Way:
    """What one way in gave."""

    name: str
    ap: float  # COCO's, 0 to 1
    ap50: float
    points: float  # of AP above that of pixels in process, hundredths


def answers(version: Path, examples: Sequence[Any], target: str, url: str) -> dict[str, Outputs]:
    """What each way answers.

    Args:
        version: a version folder, or a model's.
        examples: the pictures, `sightline_training.examples.Example`.
        target: gRPC address of a server that serves it as `version`'s model does.
        url: of a gateway in front of it.
    """
    from sightline_training.asked import asked_version
    from sightline_training.examples import Dataset

    asked = asked_version(version)
    encoded = np.array([example.read() for example in examples], object)
    parts = [
        asked.served.predict(SIGNATURE_ENCODED, INPUT_IMAGES, encoded[start : start + _BATCH])
        for start in range(0, len(encoded), _BATCH)
    ]
    name = asked.card.name
    with Serving(target, model=name, timeout=60) as serving, Gateway(url, timeout=60) as gateway:
        return {
            PIXELS: asked.outputs(Dataset(asked.labels, tuple(examples))),
            ENCODED: {key: np.concatenate([part[key] for part in parts]) for key in parts[0]},
            GRPC: _outputs([serving.detect(data, _ALL) for data in encoded]),
            HTTP: _outputs([gateway.detect(data, _ALL) for data in encoded]),
        }


def compare(dataset: Any, found: dict[str, Outputs]) -> list[Way]:
    """Each way's AP on a `sightline_training.examples.Dataset`, and how far it is from the first one's."""
    from sightline_training.coco_metrics import measure

    metrics = {name: measure(dataset, outputs) for name, outputs in found.items()}
    first = next(iter(metrics.values())).AP
    return [Way(name, metric.AP, metric.AP50, 100 * (metric.AP - first)) for name, metric in metrics.items()]


def within(ways: Sequence[Way]) -> bool:
    """Whether no two ways differ by more than LIMIT."""
    points = [way.points for way in ways]
    return max(points) - min(points) <= LIMIT


def report(ways: Sequence[Way], pictures: int) -> str:
    """As bench/parity.md has it."""
    rows = [f"| {way.name} | {100 * way.ap:.2f} | {100 * way.ap50:.2f} | {way.points:+.2f} |" for way in ways]
    verdict = "met" if within(ways) else "missed"
    return "\n".join(
        [
            "# Parity of the ways in",
            "",
            f"{pictures} held-out pictures, COCO metric, hundredths. Written by",
            "`make parity DATA=... RUN=... MODEL=...`.",
            "",
            "| way | AP | AP50 | AP beside the first |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Aim: no two differ by more than {LIMIT} points of AP: {verdict}.",
            "",
        ]
    )


def _outputs(results: Sequence[Result]) -> Outputs:
    """Answers of the client as the model's own outputs."""
    count = len(results)
    found = {
        OUTPUT_BOXES: np.zeros((count, DEFAULT_MAX_DETECTIONS, 4), np.float32),
        OUTPUT_SCORES: np.zeros((count, DEFAULT_MAX_DETECTIONS), np.float32),
        OUTPUT_CLASSES: np.zeros((count, DEFAULT_MAX_DETECTIONS), np.float32),
        OUTPUT_COUNT: np.array([len(result.detections) for result in results], np.float32),
    }
    for row, result in enumerate(results):
        for slot, detection in enumerate(result.detections):
            found[OUTPUT_BOXES][row, slot] = detection.box_normalized
            found[OUTPUT_SCORES][row, slot] = detection.score
            found[OUTPUT_CLASSES][row, slot] = detection.class_id
    return found


def main() -> int:
    """Write the report; 1 if the ways differ by too much."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.parity", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("run", type=Path, help="the run, which knows what was held out")
    parser.add_argument("model", type=Path, help="MODELS/NAME that was exported from it")
    parser.add_argument("data", type=Path, help="its labelled pictures")
    parser.add_argument("--out", type=Path, default=HERE / "parity.md", help="the report [bench/parity.md]")
    arguments = parser.parse_args()
    from bench.servers import gateway, model_server
    from sightline_training.annotations import read_dataset
    from sightline_training.cli.tensorflow import start_tensorflow
    from sightline_training.run import Run
    from sightline_training.workflow import held_out_of

    start_tensorflow()
    run = Run.open(arguments.run)
    dataset = held_out_of(run, read_dataset(arguments.data, run.settings.labels))
    model = arguments.model.resolve()
    with model_server(model.name, model) as server, gateway(server, model.name) as front:
        url = f"http://{front.host}:{front.port}"
        found = answers(model, dataset.examples, f"{server.host}:{server.port}", url)
    ways = compare(dataset, found)
    text = report(ways, len(dataset.examples))
    arguments.out.write_text(text, encoding="utf-8")
    print(text)
    return 0 if within(ways) else 1


if __name__ == "__main__":
    raise SystemExit(main())
