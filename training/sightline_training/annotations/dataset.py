"""A data set's folder, whatever its format."""

from __future__ import annotations

from pathlib import Path

from sightline.errors import InputError
from sightline_training.aliases import with_other_names
from sightline_training.annotations import coco, voc, yolo
from sightline_training.annotations.reading import find_label_map
from sightline_training.examples import Dataset
from sightline_training.labels import LabelMap


def read_dataset(folder: Path, labels: LabelMap | None = None) -> Dataset:
    """Read a data set: TFRecord files, COCO JSON, YOLO text or Pascal VOC XML, told by what lies there.

    Args:
        folder: where it lies.
        labels: the classes; None takes the folder's own label map, or makes one of the labels.

    Raises:
        InputError: the folder is missing or empty, or something in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the one that holds the labelled pictures")
    if not any(folder.iterdir()):
        raise InputError(f"{folder} is empty; it should hold pictures and their annotations")
    own = find_label_map(folder)
    if labels is None:
        labels = own
    elif own is not None:
        labels = with_other_names(labels, own)
    # Imported here: the other formats can be read without TensorFlow's start.
    from sightline_training import records

    if shards := records.find(folder):
        return records.read_files(shards, labels, own or labels)
    if files := coco.find(folder):
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise InputError(f"{folder} holds several COCO files ({names}); leave the one that is meant")
        return coco.read_file(files[0], folder, labels)
    names_file = yolo.find(folder)
    # A bare list lies beside labelImg's XML too, where somebody has tried both; what labels more is meant.
    if names_file and not (yolo.is_list(names_file) and voc.count(folder) > yolo.count(folder)):
        return yolo.read_folder(folder, names_file, labels)
    return voc.read_folder(folder, labels)
