"""Labelled pictures in, a version that TensorFlow Serving loads out."""

__version__ = "0.1.0"
