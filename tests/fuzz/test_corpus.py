"""What the fuzzer found interesting is run again: no decoder raises, and everything has an outcome."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from target import TOPICS, one_input

CORPUS = Path(__file__).parent / "corpus.txt"
INPUTS = [base64.b64decode(line) for line in CORPUS.read_text(encoding="ascii").split()]


def test_the_corpus_reaches_every_topic_and_the_parser() -> None:
    assert {data[0] % (len(TOPICS) + 2) for data in INPUTS if data} == set(range(len(TOPICS) + 2))


@pytest.mark.parametrize("start", range(0, len(INPUTS), 50))
def test_no_input_of_the_corpus_makes_a_decoder_raise(start: int) -> None:
    for data in INPUTS[start : start + 50]:
        one_input(data)
