"""Forms are read as werkzeug reads them, only faster."""

from __future__ import annotations

import io
import random
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header
from werkzeug.wsgi import LimitedStream

from sightline.errors import InputError
from sightline_serving.gateway import header_values
from sightline_serving.gateway.forms import LARGEST, FormReader
from sightline_serving.gateway.header_values import content_type, part_names

BOUNDARY: Final = "X--x"
KIND: Final = "multipart/form-data"
PICTURE: Final = random.Random(7).randbytes(50_000) + b"\r\n--X-\r\n--\r\n\n--X"


def body(*parts: tuple[str, bytes], end: bytes = b"--X--x--\r\n") -> bytes:
    """A form as browsers and curl write it."""
    written = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    return b"".join(written) + end


FILE: Final = ('name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg', PICTURE)
FORMS: Final = {
    "one picture": body(FILE),
    "several, with options": body(FILE, ('name="threshold"', b"0.5"), FILE, ('name="classes"', "é".encode())),
    "an empty field": body(('name="api_key"', b""), FILE),
    "an empty file": body(('name="image"; filename=""', b"")),
    "a name of many letters": body(('name="image"; filename="é \\"x\\".jpg"', b"x")),
    "a field twice": body(('name="a"', b"1"), ('name="a"', b"2")),
    "no part": b"--X--x--\r\n",
    "a preamble": b"hello\r\n" + body(FILE),
    "an epilogue": body(FILE) + b"goodbye",
    "line feeds alone": body(FILE).replace(b"\r\n", b"\n"),
    "a part that shares its line break with the next": (
        b'--X--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + body(('name="b"', b"1"))
    ),
    "cut short": body(FILE)[:-8],
    "cut in the header": body(FILE)[:30],
    "no disposition": b"--X--x\r\nContent-Type: text/plain\r\n\r\nx\r\n--X--x--\r\n",
    "a part without a name": body(FILE, ('size="1"', b"1")),
    "no form": b"GIF89a",
    "nothing": b"",
    "letters that are none": body(('name="a"', b"\xff\xfe")),
}


def read(reader: type[FormDataParser], form: bytes, **options: Any) -> Any:
    """Fields and files as plain lists, or the kind of the fault."""
    options["stream_factory"] = lambda *_, **__: io.BytesIO()
    try:
        _, fields, files = reader(**options).parse(io.BytesIO(form), KIND, len(form), {"boundary": BOUNDARY})
    except (RequestEntityTooLarge, InputError) as fault:
        return type(fault)
    if None in [*fields, *files]:  # werkzeug's name for a part without one, which is refused here
        return InputError
    found = [(name, file.filename, file.read()) for name, file in files.items(multi=True)]
    return list(fields.items(multi=True)), found


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_is_read_as_werkzeug_reads_it(kind: str) -> None:
    assert read(FormReader, FORMS[kind]) == read(FormDataParser, FORMS[kind])


def test_the_usual_form_is_read_by_the_faster_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FormDataParser, "parse", lambda *_, **__: pytest.fail("werkzeug's was asked"))
    _, files = read(FormReader, FORMS["several, with options"])
    assert [content for *_, content in files] == [PICTURE, PICTURE]


@pytest.mark.parametrize("address", ["/v1/detect", "/v1/detectVideo", "/v1/vision/detection"])
@pytest.mark.parametrize("head", ["form-data", 'form-data; filename="a.jpg"'])
def test_parts_without_a_name_are_the_senders_fault(client: FlaskClient, address: str, head: str) -> None:
    part = f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n1\r\n".encode()
    response = client.post(address, data=part * 2 + body(FILE), content_type=f"{KIND}; boundary={BOUNDARY}")
    assert response.status_code == 400
    assert "has no name" in response.text


@settings(max_examples=300)
@given(st.data())
@example(None)
def test_damaged_forms_are_read_as_werkzeug_reads_them(data: Any) -> None:
    form = bytearray(
        body(('name="t"', b"0.5"), ('name="image"; filename="a"', b"x\r\n--X"), ('name="e"', b""))
    )
    if data is not None:
        for at in data.draw(st.lists(st.integers(0, len(form) - 1), max_size=3)):
            if form[at] not in b"\r\n":
                form[at] = data.draw(st.sampled_from(b'-X"; :x=\x00\xff'))
        form = form[: data.draw(st.integers(0, len(form)))] if data.draw(st.booleans()) else form
    assert read(FormReader, bytes(form)) == read(FormDataParser, bytes(form))


_LETTERS = st.text(st.sampled_from("aB1-_.+' ;=\"\\%*,/ü\t"), max_size=12)


@settings(max_examples=500)
@given(st.one_of(_LETTERS, _LETTERS.map("multipart/form-data; boundary={}".format), st.text(max_size=20)))
def test_media_types_are_read_as_werkzeug_reads_them(header: str) -> None:
    kind, parameters = parse_options_header(header)
    assert content_type(header) == (kind.lower(), parameters)


@settings(max_examples=500)
@given(
    st.one_of(
        _LETTERS,
        _LETTERS.map('form-data; name="{}"'.format),
        st.builds('form-data; name="{}"; filename="{}"'.format, _LETTERS, _LETTERS),
        st.builds('form-data; name="{}"; filename={}'.format, _LETTERS, _LETTERS),
    )
)
def test_parts_names_are_read_as_werkzeug_reads_them(header: str) -> None:
    _, told = parse_options_header(header)
    assert part_names(header) == (told.get("name"), told.get("filename"))


def test_the_usual_headers_are_not_read_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_values, "parse_options_header", lambda _: pytest.fail("werkzeug's was asked"))
    for boundary in ("------------------------9f0c", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "d41d8cd98f"):
        told = content_type(f"multipart/form-data; boundary={boundary}")
        assert told == ("multipart/form-data", {"boundary": boundary})
    assert part_names('form-data; name="image"; filename="my dog.jpg"') == ("image", "my dog.jpg")
    assert part_names('form-data; name="threshold"') == ("threshold", None)


def test_too_many_parts_are_refused() -> None:
    form = body(*[('name="a"', b"1")] * 12)
    assert read(FormReader, form, max_form_parts=10) is RequestEntityTooLarge
    assert len(read(FormReader, form, max_form_parts=12)[0]) == 12


def test_a_large_form_and_one_of_unknown_length_are_left_to_werkzeug(tmp_path: Any) -> None:
    form = body(('name="video"; filename="v"', bytes(LARGEST)))
    _, _, files = FormReader().parse(io.BytesIO(form), KIND, len(form), {"boundary": BOUNDARY})
    assert not isinstance(files["video"].stream, io.BytesIO), "on disk"
    assert len(files["video"].read()) == LARGEST
    files["video"].close()
    _, _, files = FormReader().parse(io.BytesIO(body(FILE)), KIND, None, {"boundary": BOUNDARY})
    assert files["image"].read() == PICTURE
    files["image"].close()


def test_other_forms_are_left_to_werkzeug() -> None:
    _, fields, _ = FormReader().parse(io.BytesIO(b"a=1&b=2"), "application/x-www-form-urlencoded", 7, {})
    assert fields.to_dict() == {"a": "1", "b": "2"}


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a socket may."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        piece, self._rest = self._rest[:7], self._rest[7:]
        target[: len(piece)] = piece
        return len(piece)


def test_a_stream_that_trickles_is_read_to_its_end() -> None:
    form = body(('name="image"; filename="a"', b"x" * 1000))
    stream = LimitedStream(Trickle(form), len(form))  # type: ignore[arg-type]
    _, _, files = FormReader().parse(stream, KIND, len(form), {"boundary": BOUNDARY})  # type: ignore[arg-type]
    assert files["image"].read() == b"x" * 1000
