"""What a saved_model.pb says of itself, read without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from sightline.contract import SIGNATURE_CARD
from sightline.doctor.folders import SAVED_MODEL_FILE, VARIABLES_INDEX, VersionFolder
from sightline.doctor.results import CheckResult, Subject
from sightline.signatures import Signature, signatures_from
from sightline.wire import serving_pb2 as wire

SAVED_MODEL: Final = "saved-model"
VARIABLES: Final = "variables"
_SERVE: Final = "serve"  # the tag that Serving loads
_CALLS: Final = ("PartitionedCall", "StatefulPartitionedCall")
_SHOWN: Final = 3  # names in a message


@dataclass(frozen=True, slots=True)
class SavedModel:
    """The part of a SavedModel that Serving loads."""

    signatures: Mapping[str, Signature]
    card: str | None  # the card's text, where the graph holds it as a constant
    variables: int
    unrestored: tuple[str, ...]  # variables that calls read and the loader does not fill


def read_saved_model(path: Path) -> SavedModel:
    """Read a saved_model.pb.

    Raises:
        ValueError: it is damaged, or holds no graph for serving.
        OSError: it cannot be read.
    """
    try:
        message = wire.SavedModel.FromString(path.read_bytes())
    except DecodeError as fault:
        raise ValueError(f"{path.name} is damaged: {fault}") from fault
    for meta in message.meta_graphs:
        if list(meta.meta_info_def.tags) == [_SERVE]:
            break
    else:
        tags = [list(meta.meta_info_def.tags) for meta in message.meta_graphs]
        raise ValueError(f"{path.name} holds graphs with the tags {tags}, and none with [{_SERVE!r}] alone")
    signatures = signatures_from(wire.SignatureDefMap(signature_def=meta.signature_def))
    variables = [node.name for node in meta.graph_def.node if node.op == "VarHandleOp"]
    card = _card(meta.graph_def) if SIGNATURE_CARD in signatures else None
    return SavedModel(signatures, card, len(variables), _unrestored(meta, set(variables)))


def _unrestored(meta: wire.MetaGraphDef, variables: set[str]) -> tuple[str, ...]:
    """Variables that functions read and that the restore operation, which is all that Serving runs, omits.

    Python's tf.saved_model.load restores by the object graph instead, and so does not notice.
    """
    restore = next(
        (node for node in meta.graph_def.node if node.name == meta.saver_def.restore_op_name), None
    )
    if restore is None or restore.op not in _CALLS:
        return ()  # a TF1 graph, where the saver lists its variables itself
    calls = (node for node in meta.graph_def.node if node.op in _CALLS and node.name != restore.name)
    read = {_node(name) for node in calls for name in node.input} & variables
    return tuple(sorted(read - {_node(name) for name in restore.input}))


def _node(tensor: str) -> str:
    """The node of an input such as `conv/kernel:0` or `^init`."""
    return tensor.lstrip("^").split(":")[0]


def _card(graph: wire.GraphDef) -> str | None:
    """The constant that reads as a JSON object with labels; as an export of Sightline holds its card."""
    for text in _strings(graph):
        if text.lstrip().startswith(b"{"):
            try:
                plain = json.loads(text)
            except ValueError:
                continue
            if isinstance(plain, dict) and "labels" in plain:
                return text.decode()
    return None


def _strings(graph: wire.GraphDef) -> Iterator[bytes]:
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    for nodes in bodies:
        for node in nodes:
            if node.op == "Const":
                yield from node.attr["value"].tensor.string_val


def check_saved_model(folder: VersionFolder) -> Iterator[CheckResult | SavedModel]:
    """Look at the files that Serving loads; also yields the model if it can be read."""
    about = folder.subject
    path = folder.path / SAVED_MODEL_FILE
    if not path.is_file():
        yield about.failed(SAVED_MODEL, f"no {SAVED_MODEL_FILE} in {folder.path}", "an exported SavedModel")
        return
    try:
        saved = read_saved_model(path)
    except ValueError as fault:
        yield about.failed(SAVED_MODEL, str(fault), "a SavedModel that was copied whole")
        return
    yield about.passed(
        SAVED_MODEL, f"{path.stat().st_size:,} bytes, signatures {', '.join(saved.signatures)}"
    )
    yield _check_variables(folder.path, saved, about)
    yield saved


def _check_variables(folder: Path, saved: SavedModel, about: Subject) -> CheckResult:
    if saved.variables and not (folder / VARIABLES_INDEX).is_file():
        return about.failed(
            VARIABLES, f"the graph has {saved.variables} variables, and no {VARIABLES_INDEX}", "their values"
        )
    shards = list((folder / VARIABLES_INDEX.parent).glob("variables.data-*"))
    if saved.variables and not shards:
        return about.failed(VARIABLES, "variables.index is there and variables.data-* is not", "both")
    missing = saved.unrestored
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        return about.failed(
            VARIABLES,
            f"{len(missing)} of {saved.variables} variables are restored by Python's loader only ({names}); "
            "Serving would answer `Could not find variable`",
            "an export that tracks raw variables (`[v.value for v in model.variables]`), not Keras' wrappers",
        )
    return about.passed(VARIABLES, f"{saved.variables}, all restored as Serving restores them")
