"""`digitstrip review` as a process, and its HTTP API."""

import asyncio
import json
import math
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.http.server import HttpServer
from service.review.app import MOST_DRAWN, review_app
from service.review.crops import Crop
from service.review.journal import read_journal
from service.review.people import People, read_people
from service.review.run import Job, Result
from tests.conftest import in_a_loop
from tests.service.review.conftest import Server, sent
from tests.support.http1 import ask
from tests.support.review_tables import made_batch, row_of, write_table


@pytest.fixture
def batch(tmp_path):
    return made_batch(tmp_path, 12)


@pytest.fixture
def server(serve, batch):
    return serve(batch[0], "--name", "ada", "--sample", 2)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """One server, and its journal, for every test that confirms nothing."""
    table, _ = made_batch(tmp_path_factory.mktemp("asked"), 12)
    server = Server(table, "--name", "ada", "--sample", 2)
    yield server, table.with_name("readings.jsonl.review")
    status, said = server.stop()
    assert (status, "Traceback" in said) == (0, False), said


def test_the_page_and_its_modules_are_served_with_a_policy_that_runs_nothing_else(asked):
    server, _ = asked
    status, page, headers = server.ask("")
    assert status == 200
    assert b'<script type="module" src="/main.js">' in page
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert server.ask("main.js")[2]["Content-Type"].startswith("text/javascript")
    assert server.ask("../service/errors.py")[0] == 404


def test_a_review_over_http(server, batch):
    status, first, _ = server.ask("api/tasks?count=3")
    assert (status, first["who"], first["name"]) == (200, "ada", "readings.jsonl")
    task = first["tasks"][0]
    assert server.ask(f"api/crops/{task['row']}")[1].startswith(b"\x89PNG")
    assert server.ask(f"api/crops/{task['row']}?whole=1")[0] == 200
    assert server.ask(f"api/digits/{task['row']}/0")[1].startswith(b"\x89PNG")
    status, check, _ = server.ask(f"api/check?row={task['row']}&text=12")
    assert check == {"allowed": True, "written": "12"}
    event = sent(task["row"], "12")
    assert server.ask("api/events", {"events": [event]})[1] == {"saved": [event["id"]]}
    assert read_journal(batch[0].with_name("readings.jsonl.review"))[1][0].who == "ada"
    shown = ",".join(str(each["row"]) for each in first["tasks"])
    more = server.ask(f"api/tasks?count=16&shown={shown}")[1]
    assert not {each["row"] for each in more["tasks"]} & {each["row"] for each in first["tasks"]}
    assert more["progress"]["done"] == 1
    assert server.ask("api/summary")[1]["paces"][0]["rows"] == 1
    label, count = next(iter(server.ask("api/carpets")[1].items()))
    assert len(server.ask(f"api/carpets/{label}?count=1")[1]["digits"]) == min(count, 1)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "reason"),
    [
        ("api/events", {"events": "x"}, {}, 400, "BAD_OPTION"),
        ("api/events", {"events": [1]}, {}, 400, "BAD_OPTION"),
        ("api/events", [1], {}, 400, "BAD_OPTION"),
        ("api/events", {"events": []}, {"Content-Type": "text/plain"}, 400, "BAD_OPTION"),
        ("api/events", {"events": [{}] * 1001}, {}, 400, "BAD_OPTION"),
        ("api/events", {"events": [sent(0, "1") | {"ms": math.inf}]}, {}, 400, "BAD_OPTION"),
        ("api/events", {"events": []}, {"Host": "evil.example"}, 421, "WRONG_HOST"),
        ("api/events", {"events": []}, {"Origin": "http://evil.example"}, 403, "WRONG_ORIGIN"),
        ("api/crops/999999", None, {}, 400, "BAD_OPTION"),
        ("api/digits/0/999", None, {}, 400, "BAD_OPTION"),
        ("api/check?row=x&text=1", None, {}, 400, "BAD_OPTION"),
        ("api/check?row=0&text=<b>", None, {}, 400, "BAD_OPTION"),
        ("api/tasks?count=x", None, {}, 400, "BAD_OPTION"),
        ("api/tasks?shown=x", None, {}, 400, "BAD_OPTION"),
        ("api/nothing", None, {}, 404, "NO_SUCH_PATH"),
    ],
)
def test_what_is_malformed_is_refused_with_its_reason(asked, path, body, headers, status, reason):
    server, _ = asked
    found, answer, _ = server.ask(path, body, **headers)
    assert (found, answer["error"]["reason"]) == (status, reason)


@pytest.mark.parametrize("token", ["\u0141ukasz", "\u4f60\u597d", "\ud800", "x" * 5000, 7, None])
def test_who_needs_no_token_may_send_any(asked, token):
    server, _ = asked
    status, answer, headers = server.ask("api/sign-in", {"token": token})
    assert (status, answer["who"], headers["Set-Cookie"]) == (200, "ada", None)


@pytest.mark.parametrize("what", ["text", "undo"])
def test_an_id_that_no_answer_can_have_is_refused(asked, what):
    server, journal = asked
    (task,) = server.ask("api/tasks?count=1")[1]["tasks"]
    named = {"id": "\ud800"} if what == "text" else {"undoes": "\udfff"}
    event = sent(task["row"], "1") | {"what": what} | named
    status, answer, _ = server.ask("api/events", {"events": [event]})
    assert (status, answer["error"]["reason"]) == (400, "BAD_OPTION")
    assert not read_journal(journal)[1]


def test_a_body_that_is_too_large_is_refused_with_its_field(asked):
    server, _ = asked
    host, port = server.listen.split(":")
    answer = asyncio.run(
        ask(
            port,
            "POST",
            "/api/events",
            Host=host,
            Content_Length=2**21,
            Content_Type="application/json",
        )
    )
    assert (answer.status, answer.error["reason"]) == (413, "TOO_MANY_BYTES")
    assert answer.error["field"] == "body"


def test_json_that_is_too_deep_is_refused(asked):
    server, _ = asked
    request = urllib.request.Request(
        f"{server.url}api/events", b"[" * 100_000, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=20)


def test_the_end_is_a_summary_and_the_next_command(server):
    status, said = server.stop()
    assert status == 0
    assert "rows to review are decided" in said
    assert "next: digitstrip review" in said
    assert "Traceback" not in said


def test_a_second_server_is_refused(asked, run):
    server, _ = asked
    ended = run("review", server.table, "--listen", "127.0.0.1:0")
    assert ended.returncode == 2
    assert b"another `digitstrip review` has" in ended.stderr


def test_every_format_is_exported_by_the_command(run, serve, tmp_path, batch):
    table = batch[0]
    server = serve(table)
    (task,) = server.ask("api/tasks?count=1")[1]["tasks"]
    server.ask("api/events", {"events": [sent(task["row"], "7")]})
    out, labels, page = tmp_path / "out.jsonl", tmp_path / "labels", tmp_path / "summary.html"
    ended = run("review", table, "--export", out, "--labels", labels, "--summary", page)
    assert ended.returncode == 0, ended.stderr
    assert b"1 labeled scans" in ended.stdout
    assert '"CORRECTED"' in out.read_text()
    assert (labels / "labels.csv").read_text().count("\n") == 2
    assert "Review of readings.jsonl" in page.read_text()


PEOPLE = "# who may\nada aaaaaaaaaaaaaaaa\nben lee bbbbbbbbbbbbbbbb\n"


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people"
    path.write_text(PEOPLE)
    return path


def sign_in(server, token):
    status, answer, headers = server.ask("api/sign-in", {"token": token})
    assert status == 200
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=strict" in headers["Set-Cookie"]
    return answer["who"], headers["Set-Cookie"].partition(";")[0]


def test_people_are_known_by_their_tokens(serve, batch, people):
    server = serve(batch[0], "--people", people, "--keys", 2)
    for path in ("tasks", "crops/0", "summary", "carpets", "check?row=0&text=1"):
        status, answer, _ = server.ask(f"api/{path}")
        assert (status, answer["error"]["reason"]) == (401, "UNAUTHENTICATED")
    assert server.ask("api/events", {"events": []})[0] == 401
    assert server.ask("api/sign-in", {"token": "c" * 16})[0] == 401
    assert server.ask("api/tasks", cookie="digitstrip_review=" + "c" * 16)[0] == 401
    assert server.ask("")[0] == 200  # the page itself, which asks for the token
    who, cookie = sign_in(server, "b" * 16)
    assert who == "ben lee"
    assert server.ask("api/tasks", cookie=cookie)[1]["who"] == "ben lee"
    (task,) = server.ask("api/tasks", cookie=cookie)[1]["tasks"]
    server.ask("api/events", {"events": [sent(task["row"], "12")]}, cookie=cookie)
    _, ada = sign_in(server, "a" * 16)
    tasks = server.ask("api/tasks?count=16", cookie=ada)[1]["tasks"]
    kinds = {each["row"]: each["task"] for each in tasks}
    assert kinds[task["row"]] == "blind"


def test_a_name_may_have_any_letters(serve, batch, tmp_path):
    path = tmp_path / "people"
    path.write_text("\u0141ukasz \u4f60\u597d aaaaaaaaaaaaaaaa\n", "utf-8")
    server = serve(batch[0], "--people", path)
    for token in ("\u4f60" * 16, "\ud800" * 16):
        assert server.ask("api/sign-in", {"token": token})[0] == 401
    who, cookie = sign_in(server, "a" * 16)
    assert who == "\u0141ukasz \u4f60\u597d"
    assert server.ask("api/tasks", cookie=cookie)[1]["who"] == who


def test_scans_that_lie_elsewhere_are_shown_where_they_are_named_a_root(serve, tmp_path):
    made_batch(tmp_path / "batch", 3, accepted=0.0)
    (tmp_path / "elsewhere").mkdir()
    table = Path(shutil.move(tmp_path / "batch" / "readings.jsonl", tmp_path / "elsewhere"))
    for roots, expected in (((), 400), (("--root", tmp_path / "batch"), 200)):
        server = serve(table, *roots)
        (task,) = server.ask("api/tasks?count=1")[1]["tasks"]
        status, answer, _ = server.ask(f"api/crops/{task['row']}")
        assert status == expected
        if status != 200:
            assert "--root" in answer["error"]["message"]
            assert "--root" in task["trouble"]
        said = " ".join(server.stop()[1].split())
        assert ("the scans of 3 of 3 rows are not shown" in said) == (status != 200)


@in_a_loop
async def test_no_more_scans_are_decoded_at_once_than_a_few(tmp_path, review):
    session = review(made_batch(tmp_path, 12, accepted=0.0)[0])
    running, most = [], []

    def drawn(row, *_):
        running.append(row)
        most.append(len(running))
        time.sleep(0.02)
        running.remove(row)
        return Crop(b"png", 0, 0, 1, 1, is_whole=True)

    session.crops.of = drawn
    server = HttpServer(review_app(session, People("ada", {})), "127.0.0.1:0")
    port = await server.start()
    paths = [f"/api/crops/{row}" for row in range(12)] + ["/api/tasks?count=2"] * 4
    answers = await asyncio.gather(*(ask(port, path=path) for path in paths))
    await server.stop()
    assert {answer.status for answer in answers} == {200}
    assert 1 < max(most) <= MOST_DRAWN


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "has no people"),
        ("ada short\n", "has 5 characters"),
        ("aaaaaaaaaaaaaaaa\n", "has no name"),
        ("ada aaaaaaaaaaaaaaaa\nada bbbbbbbbbbbbbbbb\n", "there already"),
        ("ada aaaaaaaaaaaaaaaa\nben aaaaaaaaaaaaaaaa\n", "one token twice"),
        ("ada aaaaaaaaaaaaaaa\u0141\n", "characters beyond ASCII"),
    ],
)
def test_people_without_names_or_tokens_are_refused(tmp_path, content, why):
    path = tmp_path / "people"
    path.write_text(content)
    with pytest.raises(SettingsError, match=why):
        read_people(path)


def test_the_command_refuses_people_that_it_cannot_tell_apart(run, tmp_path, batch):
    path = tmp_path / "people"
    path.write_text("")
    ended = run("review", batch[0], "--people", path)
    assert ended.returncode == 2
    assert b"has no people" in b" ".join(ended.stderr.split())


def test_other_machines_are_served_with_people_only(run, batch):
    ended = run("review", batch[0], "--listen", "0.0.0.0:0")
    assert ended.returncode == 2
    assert b"name who may review, with --people" in b" ".join(ended.stderr.split())


def test_killed_twenty_times_nothing_that_was_confirmed_is_lost(serve, tmp_path):
    """The server is killed while events come in; what it answered for is in the journal."""
    table, truths = made_batch(tmp_path, 90, accepted=0.2)
    server = serve(table, "--name", "ada", "--sample", 5)
    confirmed = []
    kills = 0
    while tasks := server.ask("api/tasks?count=2")[1]["tasks"]:
        for task in tasks:
            event = sent(task["row"], truths[task["row"]])
            assert server.ask("api/events", {"events": [event]})[0] == 200
            confirmed.append(event["id"])
        if kills < 20:
            kills += 1
            lost = {"events": [sent(task["row"], "000") for task in tasks]}
            if kills % 2:  # in the middle of an answer, perhaps
                _send_and_leave(server, lost)
            server.stop(signal.SIGKILL)
            server.start()
    assert kills == 20
    server.stop()
    kept = [event.id for event in read_journal(table.with_name("readings.jsonl.review"))[1]]
    assert [each for each in kept if each in set(confirmed)] == confirmed
    outputs = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for output in outputs:
        Result.of(Job(table, {})).export(output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def _send_and_leave(server, body):
    host, _, port = server.listen.rpartition(":")
    content = json.dumps(body).encode()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )


def test_a_journal_is_beside_the_table_or_where_it_is_said(run, tmp_path, serve):
    table = write_table(tmp_path / "t.jsonl", [row_of("a.png", "12", 0.5)])
    serve(table, "--journal", tmp_path / "elsewhere").stop()
    assert (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "t.jsonl.review").exists()
    ended = run("review", table, "--export", tmp_path / "out.jsonl")
    assert ended.returncode == 2
    assert b"nothing was reviewed yet" in ended.stderr
