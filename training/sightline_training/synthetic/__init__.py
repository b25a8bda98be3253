"""A labelled data set of drawn droids: for the demo, for tests, for a user without photographs."""

from sightline_training.synthetic.dataset import SyntheticOptions, draw_dataset, draw_picture
from sightline_training.synthetic.sprites import BB8, LABELS, R2D2

__all__ = ["BB8", "LABELS", "R2D2", "SyntheticOptions", "draw_dataset", "draw_picture"]
