"""Does an export, or a server that runs it, keep the serving contract? Line by line, each fault by its name.

A folder is read without TensorFlow as far as that goes: layout, signatures, variables, card, warm-up records,
golden pictures. For the rest it is served, by `sightline-model-server` on a free port or by the server that
the caller names, and asked as any client asks. So a folder and a live server are examined by the same checks.
"""

from sightline.doctor.examination import examination, examine
from sightline.doctor.results import CheckResult, Outcome

__all__ = ["CheckResult", "Outcome", "examination", "examine"]
