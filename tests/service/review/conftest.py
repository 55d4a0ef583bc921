import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from itertools import count

import pytest

from service.review.decisions import Action
from service.review.run import Job, opened
from tests.conftest import ROOT

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


class Server:
    """A `digitstrip review` process, and where its page is."""

    def __init__(self, table, *arguments, listen="127.0.0.1:0", cwd=ROOT):
        self.table, self.arguments, self.listen, self.cwd = table, arguments, listen, cwd
        self.start()

    def start(self):
        command = [sys.executable, "-m", "service.cli", "review", str(self.table)]
        command += ["--listen", self.listen, *map(str, self.arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.cwd
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.url = re.search(r"http://\S+/", line)[0]
        self.listen = self.url.removeprefix("http://").strip("/")  # the same when started again

    def stop(self, sign=signal.SIGINT):
        """Send a signal and return (exit status, what it said on stderr)."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def ask(self, path, sent=None, cookie="", **headers):
        """Call the API; returns (status, what it answered, its headers)."""
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)
        if cookie:
            request.add_header("Cookie", cookie)
        if sent is not None:
            request.data = json.dumps(sent).encode()
            request.add_header("Content-Type", headers.get("Content-Type", "application/json"))
        try:
            answer = urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            is_json = answer.headers["Content-Type"] == "application/json"
            return answer.status, json.loads(body) if is_json else body, answer.headers


@pytest.fixture
def serve():
    """Start servers of one's own; those still running are killed at the end."""
    started = []

    def serve(table, *arguments):
        started.append(Server(table, *arguments))
        return started[-1]

    yield serve
    for server in started:
        server.stop(signal.SIGKILL)
