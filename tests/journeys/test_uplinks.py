"""The story of several providers as people run it, in a sandbox of its own."""

import pytest

from tests.journeys.told import told

pytestmark = [pytest.mark.kernel, pytest.mark.slow]


def test_everything_holds() -> None:
    story = told("uplinks", 600)
    assert story.count("the trace says: ") == 6
    assert story.count("you are 203.0.113.11") == story.count("sees 203.0.113.11") - 3  # awaited without a word
