"""`POST …:detect`: every way a picture comes in, every form its boxes go out."""

from __future__ import annotations

import base64
import io
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fake_serving import FakeServing, FakeVersion
from support.pictures import encoded, jpeg

from sightline.detections import Result
from sightline.images import decode, encode_png

BRIGHT, DARK = jpeg(), jpeg(bright=False)
BOX = {"xmin": 32.0, "ymin": 12.0, "xmax": 80.0, "ymax": 72.0}  # of R2-D2, in 160 x 120 pixels


def form(*pictures: bytes, **fields: str) -> dict[str, Any]:
    files = [(io.BytesIO(data), f"{i}.jpg") for i, data in enumerate(pictures)]
    return {"data": {"image": files, **fields}, "content_type": "multipart/form-data"}


def labels(answer: Any) -> list[str]:
    return [found["label"] for found in answer["detections"]]


WAYS: dict[str, dict[str, Any]] = {
    "raw": {"data": BRIGHT, "content_type": "image/jpeg"},
    "raw, no type": {"data": BRIGHT},
    "as curl's --data-binary": {"data": BRIGHT, "content_type": "application/x-www-form-urlencoded"},
    "base64": {"json": {"image": base64.b64encode(BRIGHT).decode()}},
    "base64 as in Serving": {"json": {"image": {"b64": base64.b64encode(BRIGHT).decode()}}},
    "data URL": {"json": {"image": "data:image/jpeg;base64," + base64.b64encode(BRIGHT).decode()}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", ["/v1/detect", "/v1/models/droids:detect"])
def test_a_picture_comes_back_as_boxes(client: FlaskClient, way: str, address: str) -> None:
    response = client.post(address, **WAYS[way])
    assert response.status_code == 200
    answer = response.get_json()
    assert answer["model"] == {"name": "droids", "version": 1}
    assert answer["image"] == {"width": 160, "height": 120}
    first = answer["detections"][0]
    assert (first["label"], first["class_id"], first["box"]) == ("R2-D2", 2, BOX)
    assert first["box_normalized"] == [0.1, 0.2, 0.6, 0.5]
    assert labels(answer) == ["R2-D2", "BB-8"]
    assert Result.from_dict(answer).to_dict() == answer


def test_a_form_with_one_picture_answers_as_one(client: FlaskClient) -> None:
    response = client.post("/v1/detect", **form(DARK))
    assert labels(response.get_json()) == ["R2-D2"]


def test_several_pictures_are_sent_together_and_a_bad_one_spoils_nothing(
    client: FlaskClient, serving: FakeServing
) -> None:
    response = client.post("/v1/detect", **form(BRIGHT, b"no picture", DARK, BRIGHT[:200]))
    assert response.status_code == 200
    first, second, third, fourth = response.get_json()["results"]
    assert labels(first) == ["R2-D2", "BB-8"]
    assert (second["code"], second["status"]) == ("not_an_image", 415)
    assert labels(third) == ["R2-D2"]
    assert (fourth["code"], fourth["status"]) == ("truncated_image", 422)
    assert serving.batches == [2]


def test_a_list_in_json_answers_a_list(client: FlaskClient) -> None:
    pictures = [base64.b64encode(data).decode() for data in (BRIGHT, DARK)]
    response = client.post("/v1/detect", json={"images": pictures, "threshold": 0.7})
    assert [labels(item) for item in response.get_json()["results"]] == [["R2-D2"], ["R2-D2"]]
    response = client.post("/v1/detect", json={"images": pictures[:1]})
    assert len(response.get_json()["results"]) == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("threshold=0.7", ["R2-D2"]),
        ("threshold=0.95", []),
        ("max_detections=1", ["R2-D2"]),
        ("classes=BB-8", ["BB-8"]),
        ("classes=BB-8,%20R2-D2", ["R2-D2", "BB-8"]),
        ("threshold=0&format=json", ["R2-D2", "BB-8"]),
    ],
)
def test_options_in_the_query_and_in_a_form(client: FlaskClient, query: str, found: list[str]) -> None:
    assert labels(client.post(f"/v1/detect?{query}", data=BRIGHT).get_json()) == found
    fields = dict(item.split("=") for item in query.replace("%20", " ").split("&"))
    assert labels(client.post("/v1/detect", **form(BRIGHT, **fields)).get_json()) == found


def test_the_other_formats(client: FlaskClient) -> None:
    coco = client.post("/v1/detect?format=coco", **form(BRIGHT)).get_json()
    assert coco[0]["bbox"] == [32.0, 12.0, 48.0, 60.0]
    assert (coco[0]["category_id"], coco[0]["image_id"]) == (2, "0.jpg")
    tfod = client.post("/v1/detect?format=tfod", data=BRIGHT).get_json()
    assert (tfod["num_detections"], tfod["detection_classes"]) == (2, [2, 1])
    voc = client.post("/v1/detect?format=voc", **form(BRIGHT))
    assert voc.content_type == "application/xml"
    root = ET.fromstring(voc.text)
    assert root.findtext("filename") == "0.jpg"
    assert root.findtext("object/bndbox/xmax") == "80"
    both = client.post("/v1/detect?format=voc", **form(BRIGHT, DARK)).get_json()["results"]
    assert [len(ET.fromstring(item).findall("object")) for item in both] == [2, 1]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp"])
def test_the_picture_itself_with_boxes_drawn_on(client: FlaskClient, kind: str) -> None:
    response = client.post("/v1/detect", data=DARK, headers={"Accept": kind})
    assert response.content_type == kind
    drawn = decode(response.data).pixels
    assert drawn.shape == (120, 160, 3)
    plain = decode(DARK).pixels
    changed = np.abs(drawn.astype(int) - plain.astype(int)).max(2) > 60
    assert changed[40:60, 30:35].any(), "the left side of R2-D2's box"
    assert not changed[80:, 90:].any(), "where nothing was found"


def test_which_answer_is_preferred(client: FlaskClient) -> None:
    def kind(accept: str) -> str:
        return client.post("/v1/detect", data=DARK, headers={"Accept": accept}).content_type

    assert kind("image/*") == "image/jpeg"
    assert kind("*/*") == "application/json"
    assert kind("application/json, image/*;q=0.5") == "application/json"
    assert kind("text/html,image/avif,image/webp,*/*;q=0.8") == "image/webp"


def test_several_pictures_cannot_be_drawn_at_once(client: FlaskClient) -> None:
    response = client.post("/v1/detect", **form(BRIGHT, DARK), headers={"Accept": "image/png"})
    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_option")


def test_versions_and_labels_in_the_path(client: FlaskClient, serving: FakeServing) -> None:
    serving.models["droids"][2] = FakeVersion(labels=("canary",))
    for place, version in (("", 2), ("/versions/1", 1), ("/versions/2", 2), ("/labels/canary", 2)):
        answer = client.post(f"/v1/models/droids{place}:detect", data=DARK).get_json()
        assert answer["model"]["version"] == version


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.new("L", (40, 30), 220), "PNG"),
        (Image.new("RGBA", (40, 30), (220, 220, 220, 80)), "PNG"),
        (Image.fromarray(np.full((30, 40), 60000, np.uint16)), "PNG"),
        (Image.new("CMYK", (40, 30), (10, 10, 10, 10)), "JPEG"),
        (Image.new("RGB", (40, 30), (220, 220, 220)), "WEBP"),
        (Image.new("RGB", (40, 30), (220, 220, 220)), "BMP"),
        (Image.new("RGB", (40, 30), (220, 220, 220)), "GIF"),
    ],
    ids=["grey", "alpha", "16 bit", "CMYK", "WebP", "BMP", "GIF"],
)
def test_each_kind_of_picture_arrives_as_bright_as_it_is(
    client: FlaskClient, image: Image.Image, kind: str
) -> None:
    answer = client.post("/v1/detect", data=encoded(image, kind)).get_json()
    assert answer["image"] == {"width": 40, "height": 30}
    assert labels(answer) == ["R2-D2", "BB-8"]


def test_a_turned_photograph_is_answered_upright(client: FlaskClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    data = encoded(Image.new("RGB", (160, 120), (220, 220, 220)), exif=exif)
    assert client.post("/v1/detect", data=data).get_json()["image"] == {"width": 120, "height": 160}
    drawn = client.post("/v1/detect", data=data, headers={"Accept": "image/png"})
    assert decode(drawn.data).pixels.shape == (160, 120, 3)


def test_the_request_has_an_id_and_its_stages_are_told(client: FlaskClient) -> None:
    response = client.post("/v1/detect", data=DARK, headers={"X-Request-ID": "mine-1"})
    assert response.headers["X-Request-ID"] == response.get_json()["id"] == "mine-1"
    stages = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
    assert {"read", "decode", "predict", "encode", "total"} <= set(stages)
    assert float(stages["total"]) >= float(stages["predict"]) > 0
    made = client.post("/v1/detect", data=DARK, headers={"X-Request-ID": "a b\tc"})
    assert len(made.headers["X-Request-ID"]) == 32, "one that could break a log line is not taken"


def test_a_picture_longer_than_its_format_takes_is_refused(client: FlaskClient) -> None:
    long = encode_png(np.zeros((20, 20_000, 3), np.uint8))
    refused = client.post("/v1/detect", data=long, headers={"Accept": "image/webp"})
    assert refused.status_code == 400
    assert "20000 x 20 pixels is too long for image/webp" in refused.get_json()["detail"]
    assert client.post("/v1/detect", data=long, headers={"Accept": "image/png"}).status_code == 200
