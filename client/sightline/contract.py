"""What the packages agree on: the names, shapes and conventions of a served detector.

Training writes this contract, TensorFlow Serving carries it, the gateway and the client read it.
A name that two packages share stands here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

# --- signatures -----------------------------------------------------------------------------------
SIGNATURE_PIXELS: Final = "serving_default"  # uint8 [N, H, W, 3], RGB, H and W fixed by the model
SIGNATURE_ENCODED: Final = "encoded_images"  # string [N], JPEG or PNG bytes
SIGNATURE_CARD: Final = "card"  # string [N] in, the card as JSON repeated to string [N] out

# --- inputs ---------------------------------------------------------------------------------------
INPUT_IMAGES: Final = "images"  # of SIGNATURE_PIXELS and SIGNATURE_ENCODED
INPUT_QUERY: Final = "query"  # of SIGNATURE_CARD; its text is ignored, its length is the batch

# --- outputs; the batch dimension always first, so that Serving can join and split requests -------
OUTPUT_BOXES: Final = "detection_boxes"  # float32 [N, M, 4], ymin xmin ymax xmax, 0 to 1
OUTPUT_SCORES: Final = "detection_scores"  # float32 [N, M], 0 to 1, falling
OUTPUT_CLASSES: Final = "detection_classes"  # float32 [N, M], ids from 1
OUTPUT_COUNT: Final = "num_detections"  # float32 [N]; slots past it are zero
DETECTION_OUTPUTS: Final = (OUTPUT_BOXES, OUTPUT_SCORES, OUTPUT_CLASSES, OUTPUT_COUNT)
OUTPUT_CARD: Final = "card"

# --- inside a version folder ----------------------------------------------------------------------
ASSETS_EXTRA: Final = "assets.extra"
WARMUP_FILE: Final = "tf_serving_warmup_requests"  # PredictionLog records in a TFRecord file
GOLDEN_FOLDER: Final = "golden"  # a few pictures and `golden.json`, the boxes given at export
GOLDEN_FILE: Final = "golden.json"

# --- the client's own variables, beside which a gateway may be started in one shell -----------------
GATEWAY_VARIABLE: Final = "SIGHTLINE_GATEWAY"  # URL that the command line asks
API_KEY_VARIABLE: Final = "SIGHTLINE_API_KEY"

# --- defaults and limits --------------------------------------------------------------------------
DEFAULT_THRESHOLD: Final = 0.5  # score; used where neither the caller nor the card gives one
DEFAULT_MAX_DETECTIONS: Final = 100  # boxes per picture
SERVING_TIMEOUT: Final = 10.0  # seconds, for a call to Serving with its retries
LONGEST_TIMEOUT: Final = 86_400.0  # seconds; the clocks of sockets and of gRPC have an end
LAST_VERSION: Final = 2**63 - 1  # TensorFlow Serving's versions are int64
FIRST_CLASS_ID: Final = 1  # 0 is the background, as the Object Detection API numbers classes
CARD_SCHEMA: Final = 1  # rises when a reader of an older card could misread a newer one
_MODEL_REF: Final = re.compile(r"(?P<name>[^/@]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/]+))?")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a version says of itself; travels inside the version as JSON.

    Labels and thresholds are keyed by class id. A reader ignores fields that it does not know.
    """

    name: str
    labels: Mapping[int, str]
    input_height: int  # pixels
    input_width: int  # pixels
    thresholds: Mapping[int, float] = field(default_factory=dict)  # score that maximises F1, per class
    metrics: Mapping[str, float] = field(default_factory=dict)  # such as AP, AP50, on held-out pictures
    data: Mapping[str, Any] = field(default_factory=dict)  # fingerprint and size of the data set
    versions: Mapping[str, str] = field(default_factory=dict)  # of what made it
    created: str = ""  # ISO 8601, UTC
    schema: int = CARD_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; class ids become text."""
        plain = asdict(self)
        plain["labels"] = {str(key): label for key, label in self.labels.items()}
        plain["thresholds"] = {str(key): score for key, score in self.thresholds.items()}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ModelCard:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a required field is missing or of the wrong kind, or the schema is newer than ours.
        """
        try:
            schema = int(plain.get("schema", CARD_SCHEMA))
            if schema > CARD_SCHEMA:
                raise ValueError(f"card schema {schema}; this release reads {CARD_SCHEMA} and older")
            return cls(
                name=str(plain["name"]),
                labels={int(key): str(label) for key, label in plain["labels"].items()},
                input_height=int(plain["input_height"]),
                input_width=int(plain["input_width"]),
                thresholds={int(key): float(score) for key, score in plain.get("thresholds", {}).items()},
                metrics=dict(plain.get("metrics", {})),
                data=dict(plain.get("data", {})),
                versions=dict(plain.get("versions", {})),
                created=str(plain.get("created", "")),
                schema=schema,
            )
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"not a model card: {fault!r}") from fault


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model is asked: by name, and perhaps by version number or version label (not both)."""

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise ValueError("a model is asked for by version or by label, not by both")
        if self.version is not None and not 0 <= self.version <= LAST_VERSION:
            raise ValueError(f"version {self.version} is none; versions are 0 to {LAST_VERSION}")

    @classmethod
    def of(cls, model: str | ModelRef) -> ModelRef:
        """A reference as it is; or from text: `NAME`, `NAME/versions/3` or `NAME/labels/stable`.

        Raises:
            ValueError: the text is none of these.
        """
        if isinstance(model, ModelRef):
            return model
        found = _MODEL_REF.fullmatch(model)
        if found is None or not is_utf8(model):
            raise ValueError(f"{model!r} is no model; write NAME, NAME/versions/3 or NAME/labels/stable")
        version = found["version"]
        return cls(found["name"], int(version) if version else None, found["label"])

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}/versions/{self.version}"
        return f"{self.name}/labels/{self.label}" if self.label is not None else self.name


def is_utf8(text: str) -> bool:
    """Whether text can be sent. What came from the command line or a file's name may hold stray bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
