"""GetModelStatus and GetModelMetadata: what the server says of its models."""

from __future__ import annotations

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from sightline_serving.model_server.core import ServerCore
from sightline_serving.model_server.status import invalid_argument, not_found

SIGNATURE_DEF = "signature_def"  # the one metadata field that there is


def get_model_status(
    core: ServerCore, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """The state of one version, or of all that were ever seen; a label in the request is ignored.

    Raises:
        StatusError: NOT_FOUND, in the official words.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    name = request.model_spec.name
    statuses = core.board.of(name)
    version = None
    if request.model_spec.WhichOneof("version_choice") == "version":
        version = core.meant(name, request.model_spec.version.value)
    if version is not None:
        if version not in statuses:
            raise not_found(f"Could not find version {version} of model {name}")
        statuses = {version: statuses[version]}
    elif not statuses:
        raise not_found(f"Could not find any versions of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, status in statuses.items():
        told = response.model_version_status.add(version=version, state=int(status.state))
        told.status.SetInParent()
        if status.error is not None:
            told.status.error_code = int(status.error.code)
            told.status.error_message = status.error.message
    return response


def get_model_metadata(
    core: ServerCore, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version.

    Raises:
        StatusError: in the official words.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise invalid_argument(f"Metadata field {field} is not supported")
    with core.lease(request.model_spec) as servable:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in servable.signatures.items():
            signatures.signature_def[key].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response
