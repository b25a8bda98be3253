from __future__ import annotations

import grpc
import pytest

from sightline import errors
from sightline.tf_serving import ERROR_OF_CODE

ALL = errors.every_error()


def test_the_drawing_at_the_top_lists_every_error_with_its_code_and_status() -> None:
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("├──", "").replace("└──", "").replace("│", "").split()
        if words and words[0].endswith("Error"):
            drawn[words[0]] = (words[1], int(words[2]))
    assert drawn == {cls.__name__: (cls.code, cls.http_status) for cls in ALL}


def test_codes_are_unique() -> None:
    assert len({cls.code for cls in ALL}) == len(ALL)


@pytest.mark.parametrize("cls", ALL)
def test_each_is_a_problem_document(cls: type[errors.SightlineError]) -> None:
    problem = cls("what was wrong").problem()
    assert problem["status"] == cls.http_status
    assert 400 <= problem["status"] < 600
    assert problem["code"] == cls.code
    assert problem["detail"] == "what was wrong"
    assert problem["title"]


@pytest.mark.parametrize("cls", ALL)
def test_only_errors_that_pass_by_themselves_say_when_to_try_again(cls: type[errors.SightlineError]) -> None:
    assert cls("x").retryable == (cls.http_status in {429, 503})
    assert cls("x", retry_after=3).retry_after == 3


def test_every_grpc_code_has_its_row() -> None:
    assert set(ERROR_OF_CODE) == set(grpc.StatusCode)
