"""What a model's signatures say: names, dtypes and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sightline.tensors import dtype_name
from sightline.wire import serving_pb2 as wire


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output."""

    dtype: str  # numpy's name, or `string`
    shape: tuple[int, ...] | None  # -1 where it is free; None where even the rank is

    def __str__(self) -> str:
        sides = (
            "?" if self.shape is None else ", ".join("N" if side < 0 else str(side) for side in self.shape)
        )
        return f"{self.dtype} [{sides}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def __str__(self) -> str:
        sides = (
            ", ".join(f"{name}: {spec}" for name, spec in sorted(tensors.items()))
            for tensors in (self.inputs, self.outputs)
        )
        return "({}) -> ({})".format(*sides)


def signatures_from(message: wire.SignatureDefMap) -> dict[str, Signature]:
    """The signatures in the answer to GetModelMetadata, by name."""
    return {
        name: Signature(
            {key: _spec(info) for key, info in definition.inputs.items()},
            {key: _spec(info) for key, info in definition.outputs.items()},
        )
        for name, definition in message.signature_def.items()
        if name != "__saved_model_init_op"  # TensorFlow's own, in every TF2 model
    }


def _spec(info: wire.TensorInfo) -> TensorSpec:
    shape = None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(dtype_name(info.dtype), shape)
