from itertools import count

import pytest

from service.review.decisions import Action
from service.review.run import Job, opened

ids = count()


def sent(row, text="", what=Action.TEXT, **more):
    """What the page sends of a row."""
    return {
        "id": f"id-{next(ids)}",
        "what": what,
        "row": row,
        "text": text,
        "ms": 1500,
        "strokes": 1,
    } | more


def work(session, truths, who="ada", limit=None, **more):
    """Key everything that a person is given, rightly; returns how many rows that were."""
    done = 0
    while tasks := list(session.tasks(who, 4)):
        for task in tasks:
            if done == limit:
                return done
            session.record(who, [sent(task["row"], truths[task["row"]], task=task["task"], **more)])
            done += 1
    return done


@pytest.fixture
def review():
    """Open a review of a table."""
    sessions = []

    def review(table, **settings):
        context = opened(Job(table, settings))
        sessions.append(context)
        return context.__enter__()

    yield review
    for context in sessions:
        context.__exit__(None, None, None)
