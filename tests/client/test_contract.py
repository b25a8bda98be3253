from __future__ import annotations

import json

import pytest

from sightline.contract import ModelCard, ModelRef

CARD = ModelCard(
    "droids", {1: "BB-8", 2: "R2-D2"}, 300, 200, {1: 0.4}, {"AP50": 0.95}, {"pictures": 3}, {"keras": "3"}
)


def test_the_card_survives_json() -> None:
    assert ModelCard.from_dict(json.loads(json.dumps(CARD.to_dict()))) == CARD


def test_a_reader_ignores_what_a_later_card_adds() -> None:
    assert ModelCard.from_dict({**CARD.to_dict(), "licence": "CC-BY"}) == CARD


@pytest.mark.parametrize("field", ["name", "labels", "input_height"])
def test_a_card_without_a_field_is_refused(field: str) -> None:
    plain = CARD.to_dict()
    del plain[field]
    with pytest.raises(ValueError, match=field):
        ModelCard.from_dict(plain)


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="card schema 2; this release reads 1"):
        ModelCard.from_dict({**CARD.to_dict(), "schema": 2})


def test_a_model_is_named_by_version_or_by_label() -> None:
    assert str(ModelRef("droids")) == "droids"
    assert str(ModelRef("droids", version=3)) == "droids/versions/3"
    assert str(ModelRef("droids", label="stable")) == "droids/labels/stable"
    for text in ("droids", "droids/versions/3", "droids/labels/stable"):
        assert str(ModelRef.of(text)) == text
    with pytest.raises(ValueError, match="write NAME"):
        ModelRef.of("droids/3")
    with pytest.raises(ValueError, match="not by both"):
        ModelRef("droids", 1, "stable")
