"""Replays a version's recorded requests before it serves, so that the first caller need not wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from sightline.contract import ASSETS_EXTRA, WARMUP_FILE
from sightline_serving.model_server.classify_regress import classify, multi_inference, regress
from sightline_serving.model_server.metrics import MICROSECONDS, Metrics
from sightline_serving.model_server.predict import predict
from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.sessions import from_tensorflow
from sightline_serving.model_server.status import Code, StatusError, invalid_argument, unimplemented

log = logging.getLogger(__name__)

MAX_RECORDS: Final = 1000

_Replay = Callable[[Servable, Any, float | None], Any]
# The field of PredictionLog, and what replays its request.
_REPLAYS: Final[dict[str, _Replay]] = {
    "predict_log": predict,
    "classify_log": classify,
    "regress_log": regress,
    "multi_inference_log": multi_inference,
}


def warm_up(servable: Servable, folder: Path, metrics: Metrics, *, iterations: int = 1) -> int:
    """Replay `assets.extra/tf_serving_warmup_requests` of a version folder; the number of records.

    Args:
        servable: loaded, and not serving yet.
        folder: of the version.
        metrics: takes the time that it took.
        iterations: how often each record is replayed.

    Raises:
        StatusError: a record cannot be read or replayed; the version is then not fit to serve.
    """
    file = folder / ASSETS_EXTRA / WARMUP_FILE
    if not file.is_file():
        return 0
    began = time.perf_counter()
    count = 0
    for record in _records(file):
        count += 1
        if count > MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
        for _ in range(max(1, iterations)):
            _replay(servable, record)
    elapsed = (time.perf_counter() - began) * MICROSECONDS
    metrics.warmup_latency.add(elapsed, str(folder), "OK")
    log.info("Finished reading warmup data for model at %s. Number of warmup records read: %d", file, count)
    return count


def _records(file: Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    try:
        # The one reader of TFRecord files that needs no eager tensors.
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            yield prediction_log_pb2.PredictionLog.FromString(record)
    except tf.errors.DataLossError as fault:
        raise StatusError(
            Code.DATA_LOSS, f"{fault.message}. Please verify your warmup data is in TFRecord format."
        ) from None
    except tf.errors.OpError as fault:
        raise from_tensorflow(fault) from None
    except DecodeError:
        raise invalid_argument(f"Failed to parse warmup record from {file}") from None


def _replay(servable: Servable, record: prediction_log_pb2.PredictionLog) -> None:
    kind = record.WhichOneof("log_type")
    if kind not in _REPLAYS:
        raise unimplemented(f"Unsupported log_type for warmup: {kind}")
    _REPLAYS[kind](servable, getattr(record, kind).request, None)
