"""TensorFlow Serving's messages under our own names; see serving.proto."""
