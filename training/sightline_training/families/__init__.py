"""The kinds of network that can be trained, and what training, evaluation and export ask of each."""

from sightline_training.families.choosing import architecture_for, architecture_from_json, family_of
from sightline_training.families.family import Described, Family

__all__ = ["Described", "Family", "architecture_for", "architecture_from_json", "family_of"]
