"""A version folder with a SavedModel -> a servable, by the TF1 loader.

`tf.compat.v1.saved_model.load` into a session does what the C++ server's loader does, for TF1 and TF2 exports
alike, and fails where that fails; `tf.saved_model.load` is content with models that the server cannot run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2

from sightline_serving.model_server.runtime import tf
from sightline_serving.model_server.servable import Servable
from sightline_serving.model_server.sessions import GraphSession, from_tensorflow
from sightline_serving.model_server.status import Code, StatusError, not_found

SAVED_MODEL_FILE = "saved_model.pb"
SAVED_MODEL_TEXT_FILE = "saved_model.pbtxt"


def load_saved_model(
    name: str,
    version: int,
    folder: Path,
    *,
    tags: Iterable[str] = ("serve",),
    config: config_pb2.ConfigProto | None = None,
) -> Servable:
    """The model of one version folder, its variables restored and its initialisers run.

    Raises:
        StatusError: with the code and message of the C++ loader.
    """
    meta_graph = _choose_meta_graph(read_saved_model(folder), set(tags))
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=config)
    try:
        with graph.as_default():
            tf.compat.v1.saved_model.load(session, list(meta_graph.meta_info_def.tags), str(folder))
    except tf.errors.OpError as fault:
        session.close()
        raise from_tensorflow(fault) from None
    except Exception as fault:  # the Python loader also raises ValueError, OSError, KeyError, ...
        session.close()
        raise StatusError(Code.INVALID_ARGUMENT, f"{type(fault).__name__}: {fault}") from fault
    signatures = dict(meta_graph.signature_def)
    return Servable(name, version, GraphSession(session), signatures)


def read_saved_model(folder: Path) -> saved_model_pb2.SavedModel:
    """The SavedModel message of a folder.

    Raises:
        StatusError: NOT_FOUND without such a file, OUT_OF_RANGE (as the C++ reader says) for garbage.
    """
    message = saved_model_pb2.SavedModel()
    try:
        if (folder / SAVED_MODEL_FILE).is_file():
            message.ParseFromString((folder / SAVED_MODEL_FILE).read_bytes())
        elif (folder / SAVED_MODEL_TEXT_FILE).is_file():
            text_format.Parse((folder / SAVED_MODEL_TEXT_FILE).read_bytes(), message)
        else:
            raise not_found(
                "Could not find SavedModel .pb or .pbtxt at supplied export directory path: "
                f"{folder}. Check that the directory exists and that you have the right permissions for "
                "accessing it."
            )
    except DecodeError:
        raise StatusError(Code.OUT_OF_RANGE, "Read less bytes than requested") from None
    except text_format.ParseError:
        raise StatusError(
            Code.DATA_LOSS, f"Can't parse {folder / SAVED_MODEL_TEXT_FILE} as text proto"
        ) from None
    except OSError as fault:
        raise StatusError(Code.PERMISSION_DENIED, f"{fault.filename}; {fault.strerror}") from None
    return message


def _choose_meta_graph(saved: saved_model_pb2.SavedModel, tags: set[str]) -> meta_graph_pb2.MetaGraphDef:
    for meta_graph in saved.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == tags:
            return meta_graph
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(sorted(tags))} }}. To inspect "
        "available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    )
