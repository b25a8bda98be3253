"""JSON as the official server's parser takes it and its messages quote it."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any, Final

from sightline_serving.model_server.status import StatusError, invalid_argument

B64_KEY: Final = "b64"

# Python reads 1e400 as infinity, and takes integers of any length; rapidjson refuses both. Only a body with
# something that looks like it is worth a second reading.
_MAY_BE_TOO_BIG: Final = re.compile(rb"[eE]\+?\d{3}|\d{200}")

# What rapidjson calls the faults that Python's parser finds.
_PARSE_ERRORS: Final = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or } after an object member.",
    "Extra data": "The document root must not be followed by other values.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body; NaN and Infinity are numbers.

    Raises:
        StatusError: INVALID_ARGUMENT with the parser's complaint and the offset in bytes.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8", "surrogateescape")
        if _MAY_BE_TOO_BIG.search(body):
            _refuse_too_big(text, body)
        document = json.loads(text)
    except json.JSONDecodeError as fault:
        message = fault.msg
        if message == "Expecting ',' delimiter" and _in_array(fault.doc[: fault.pos]):
            known = "Missing a comma or ] after an array element."
        else:
            known = _PARSE_ERRORS.get(message, message)
        offset = len(fault.doc[: fault.pos].encode("utf-8", "surrogateescape"))
        raise invalid_argument(f"JSON Parse error: {known} at offset: {offset}") from None
    except RecursionError:
        raise invalid_argument("JSON Parse error: the document is nested too deeply") from None
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    return document


def _refuse_too_big(text: str, body: bytes) -> None:
    def check(number: str) -> None:
        if math.isinf(float(number)):
            offset = body.find(number.encode())
            raise invalid_argument(
                f"JSON Parse error: Number too big to be stored in double. at offset: {offset}"
            )

    json.loads(text, parse_float=check, parse_int=check)


def _in_array(text: str) -> bool:
    """Whether the innermost bracket that is open at the end of `text` is an array's."""
    opened: list[str] = []
    quoted = escaped = False
    for char in text:
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            opened.append(char)
        elif char in "]}" and opened:
            opened.pop()
    return bool(opened) and opened[-1] == "["


def quote(value: Any) -> str:
    """A JSON value as messages quote it."""
    return json.dumps(value, indent=4, ensure_ascii=False)


def type_of(value: Any) -> str:
    """The name of a JSON value's type, in messages."""
    names = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    if isinstance(value, bool):
        return str(value)
    return names.get(type(value), "Number")


def format_error(value: Any, complaint: str) -> StatusError:
    """A value that has the wrong form."""
    return invalid_argument(f"JSON Value: {quote(value)} {complaint}")


def is_base64(value: Any) -> bool:
    """Whether a value is `{"b64": "…"}`, and nothing else."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(B64_KEY), str)


def decode_base64(value: Any) -> bytes:
    """The bytes of `{"b64": "…"}`; padding may be left out.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if not is_base64(value):
        raise format_error(value, "not formatted correctly for base64 data")
    text = "".join(value[B64_KEY].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def to_bytes(text: str) -> bytes:
    """The bytes that a JSON string stood for, whether they were sound UTF-8 or not."""
    return text.encode("utf-8", "surrogateescape")


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request body names; empty if none.

    Raises:
        StatusError: it is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    return name
