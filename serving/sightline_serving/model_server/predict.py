"""Predict: any signature, tensors in and out. Checks and words of the official predict_util.cc."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2

from sightline_serving.model_server.servable import Servable, Signature
from sightline_serving.model_server.status import invalid_argument
from sightline_serving.model_server.tensors import Array, MalformedTensorError, serialize_tensor, to_array
from sightline_serving.model_server.wire_format import length_delimited

_OUTPUTS = predict_pb2.PredictResponse.DESCRIPTOR.fields_by_name["outputs"].number
_MODEL_SPEC = predict_pb2.PredictResponse.DESCRIPTOR.fields_by_name["model_spec"].number
_MAP_KEY, _MAP_VALUE = 1, 2  # field numbers of a map's entry, fixed by the protobuf language


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered: its spec as served, and arrays by output alias."""

    model_spec: model_pb2.ModelSpec
    outputs: Mapping[str, Array]

    def serialize(self, *, as_content: bool = False) -> bytes:
        """This as a serialised PredictResponse; `as_content` puts numbers into `tensor_content`."""
        parts = length_delimited(_MODEL_SPEC, [self.model_spec.SerializeToString()])
        for alias, array in self.outputs.items():
            entry = length_delimited(_MAP_KEY, [alias.encode()])
            entry += length_delimited(_MAP_VALUE, serialize_tensor(array, as_content=as_content))
            parts += length_delimited(_OUTPUTS, entry)
        return b"".join(parts)


def predict(servable: Servable, request: predict_pb2.PredictRequest, timeout: float | None) -> Prediction:
    """Run a Predict request.

    Args:
        servable: the version that it means, held by the caller.
        request: as it came.
        timeout: seconds that the caller will wait, or None.

    Raises:
        StatusError: in the official words.
    """
    signature = servable.signature(request.model_spec.signature_name)
    feeds = read_inputs(signature, request.inputs)
    aliases = choose_outputs(signature, request.output_filter)
    return run_signature(servable, signature, feeds, aliases, timeout)


def run_signature(
    servable: Servable,
    signature: Signature,
    feeds: Mapping[str, Array],
    aliases: Sequence[str],
    timeout: float | None,
) -> Prediction:
    """Run one signature of a servable that the caller holds.

    Args:
        servable: the version.
        signature: one of its signatures.
        feeds: arrays by tensor name.
        aliases: outputs to answer with.
        timeout: seconds that the caller will wait, or None.
    """
    fetches = [signature.outputs[alias] for alias in aliases]
    arrays = servable.session.run(feeds, fetches, timeout)
    return Prediction(servable.model_spec(signature.name), dict(zip(aliases, arrays, strict=True)))


def read_inputs(signature: Signature, inputs: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, Array]:
    """The tensors to feed, by tensor name; a signature's defaults stand in for what was not sent."""
    _check_count(signature, inputs)
    feeds: dict[str, Array] = {}
    for alias, tensor_name in signature.inputs.items():
        if alias in inputs:
            proto = inputs[alias]
        elif alias not in signature.required:
            proto = signature.definition.defaults[alias]
        else:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {tensor_name}) not found in "
                "request and no default value provided. Inputs expected to be in the request "
                f"{{{_join(inputs)}}}, or default input alias set: {_join(signature.definition.defaults)}"
            )
        try:
            feeds[tensor_name] = to_array(proto)
        except MalformedTensorError:
            raise invalid_argument(f"tensor parsing error: {alias}") from None
    return feeds


def _check_count(signature: Signature, inputs: Mapping[str, tensor_pb2.TensorProto]) -> None:
    if len(signature.required) <= len(inputs) <= len(signature.inputs):
        return
    sent, known = set(inputs), set(signature.inputs)
    raise invalid_argument(
        f"input size does not match signature: {len(sent)}!={len(known)} len({{{_join(sent)}}}) != "
        f"len({{{_join(known)}}}). Sent extra: {{{_join(sent - known)}}}. "
        f"Missing but required: {{{_join(signature.required - sent)}}}."
    )


def choose_outputs(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    """The aliases to answer with: those asked for, or all."""
    if not output_filter:
        return list(signature.outputs)
    seen: list[str] = []
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{_join(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.append(alias)
    return seen


def _join(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
