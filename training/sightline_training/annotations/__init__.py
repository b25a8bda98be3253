"""Labelled pictures in the formats that people have -> one data set."""

from sightline_training.annotations.dataset import read_dataset

__all__ = ["read_dataset"]
