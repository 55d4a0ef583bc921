"""Callers who behave among callers who do not, in a memory group of 1 GiB, as README has it.

For a moment only: `python -m tests.trouble --minutes 10 --memory 1024` goes on for longer.
"""

import pytest

from tests.support.memory_group import MemoryGroup, NoGroupError
from tests.trouble.__main__ import run, survived

SECONDS = 12.0
OF_MEMORY = (
    "unsupported_image",
    "images_in_streams",
    "half_sent",
    "compressed",
    "message_too_large",
    "hung_up",
    "answers_unread",
    "huge_page",
)


@pytest.fixture
def group():
    try:
        return MemoryGroup(2**30)
    except NoGroupError as error:
        pytest.skip(f"memory is bounded where control groups can be made: {error}")


def test_a_gibibyte_holds_whatever_callers_send_and_well_behaved_callers_notice_nothing(group):
    outcome = run(SECONDS, 3.0, 3.0, OF_MEMORY, group, kill_seconds=5.0, DIGITSTRIP_WORKERS="2")
    assert survived(outcome), outcome
    # How many calls there are in this time is the machine's affair.
    assert outcome["polite"]["answered"] > 2
    assert len({each.split(":")[0] for each in outcome["trouble"]}) > 2
    assert outcome["said"]["polite"].total() == outcome["polite"]["retried"]
