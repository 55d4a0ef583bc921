import json
import subprocess
import sys
from pathlib import Path

import peers
import pytest

ROOT = Path(peers.__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "truth", "distance"),
    [("", "", 0), ("123", "123", 0), ("", "12", 2), ("129", "12", 1), ("213", "123", 2)],
)
def test_edits_are_levenshtein_s_distance(text, truth, distance):
    assert peers.edits(text, truth) == peers.edits(truth, text) == distance


def test_a_part_of_a_folder_is_taken_evenly():
    everything = peers.labeled(peers.EXAMPLES, None)
    assert [path.name for path, _ in everything][:2] == ["one-digit.png", "two-digits.png"]
    assert peers.labeled(peers.EXAMPLES, 3) == everything[::4]
    assert all(path.is_file() for path, _ in everything)


def test_the_tables_tell_accuracy_cost_and_how_many_times_as_fast_we_are():
    rows = [(Path("a"), "12"), (Path("b"), "3456")]
    readers = [
        peers.Measured(peer, "x 1", 10.0, Path("python"), None, cold=[0.5], peak_kib=2048)
        for peer in peers.PEERS[:2]
    ]
    readers[0].take("set", [["12", 0.02, 0.01], ["3456", 0.04, 0.01]], 0)
    readers[1].take("set", [["12", 0.02, 0.04], ["345", 0.04, 0.04]], 0)
    readers[1].take("set", [["never kept", 0.02, 0.04], ["", 0.04, 0.04]], 1)
    readers[0].take("set", [["12", 0.02, 0.01], ["3456", 0.04, 0.01]], 1)
    report = peers.tables(readers, {"set": rows})
    assert "| Digitstrip | 100.0% · 0.0% · 100 |" in report
    assert "| RapidOCR 3.10's recognizer | 50.0% · 16.7% · 25 |" in report
    assert "| x 1 | 20.0 | 40.0 | 0.50 | 2 | 10 |" in report
    assert "RapidOCR 3.10's recognizer: set 4.0" in report


def test_a_reader_answers_with_digits_and_seconds_a_line_for_every_list():
    strips = peers.labeled(peers.EXAMPLES, None)[:2]
    asked = json.dumps([str(path) for path, _ in strips]) + "\n"
    done = subprocess.run(
        [sys.executable, peers.__file__, "--serve", "digitstrip"],
        input=2 * asked,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    ready, *answers = done.stdout.splitlines()
    assert ready == "ready"
    assert len(answers) == 2
    for answer in map(json.loads, answers):
        assert [text for text, _, _ in answer["found"]] == [text for _, text in strips]
        assert all(wall > 0 and cpu > 0 for _, wall, cpu in answer["found"])
        assert answer["peak_kib"] > 10_000
