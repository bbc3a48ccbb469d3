"""What every path of the API takes in the same way."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from dashboard.answers import By

TAKEN = TypeAdapter[str](By)


@pytest.mark.parametrize("by", ["", " ", "\x1f", "\x1c \x85", "\u2003", "x" * 81])
def test_who_does_it_has_a_name_that_can_be_written_down(by: str) -> None:
    with pytest.raises(ValidationError):
        TAKEN.validate_python(by)


@pytest.mark.parametrize("by", [" anvar ", "anvar\x1f", "anvar"])
def test_the_white_space_around_a_name_is_not_part_of_it(by: str) -> None:
    assert TAKEN.validate_python(by) == "anvar"
