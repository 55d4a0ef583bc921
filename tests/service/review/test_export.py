import csv
import json

import pyarrow.parquet as pq
import pytest

from service.errors import SettingsError
from service.review.decisions import Action
from service.review.export import COLUMNS, labels_of
from service.review.run import Job, Result
from service.review.table import read_cells
from tests.service.review.conftest import sent, work
from tests.support.review_tables import failed_row, made_batch, row_of, write_table

SUFFIXES = [".jsonl", ".csv", ".parquet"]


@pytest.fixture
def mixed(tmp_path):
    """One row of each fate, in each format."""
    rows = [
        row_of("0.png", "10", 0.5),
        row_of("1.png", "11", 0.51),
        row_of("2.png", "12", 0.52),
        row_of("3.png", "13", 0.53),
        row_of("4.png", "14", 0.54),
        row_of("5.png", "15", 0.99),
        failed_row("6.png"),
        row_of("=7.png", "17", 0.55),
    ]

    def mixed(suffix, review, **how):
        table = write_table(tmp_path / f"t{suffix}", rows, **how)
        session = review(table)
        session.record(
            "ada",
            [
                sent(0, "10"),
                sent(1, "91"),
                sent(2, what=Action.ILLEGIBLE),
                sent(3, what=Action.UNSURE),
                sent(7, ""),
            ],
        )
        return table

    return mixed


def cells_of(table):
    if table.suffix == ".parquet":
        return pq.read_table(table).to_pylist(maps_as_pydicts="strict")
    return list(read_cells(table))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_machine_s_columns_stay_and_the_review_s_stand_beside_them(mixed, review, suffix):
    table = mixed(suffix, review)
    out = table.with_stem("out")
    Result.of(Job(table, {})).export(out)
    before, after = cells_of(table), cells_of(out)
    for old, new in zip(before, after, strict=True):
        assert {name: new[name] for name in old} == old
        assert list(new) == [*old, *COLUMNS]
    fates = [row["review_outcome"] or None for row in after]
    assert fates == [
        "CONFIRMED",
        "CORRECTED",
        "ILLEGIBLE",
        "UNSURE",
        "OPEN",
        None,
        None,
        "CORRECTED",
    ]
    assert [row["final_text"] or "" for row in after] == ["10", "91", "", "", "", "15", "", ""]
    assert [row["reviewed_text"] or "" for row in after] == ["10", "91", *[""] * 6]
    assert [row["reviewed_by"] or "" for row in after] == ["ada"] * 3 + [""] * 4 + ["ada"]
    assert {row["review_why"] or None for row in after} == {"review", None}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_export_has_the_same_bytes(mixed, review, suffix):
    table = mixed(suffix, review)
    out = table.with_stem("out")
    Result.of(Job(table, {})).export(out)
    first = out.read_bytes()
    Result.of(Job(table, {})).export(out)  # over its own earlier one
    assert out.read_bytes() == first


def test_a_csv_for_spreadsheets_stays_one(mixed, review):
    table = mixed(".csv", review, short=True, spreadsheet=True)
    out = table.with_stem("out")
    Result.of(Job(table, {})).export(out)
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["final_text"] == '="91"'
    assert rows[7]["source"] == "'=7.png"
    assert out.read_text("utf-8-sig").startswith(table.read_text("utf-8-sig").split("\n")[0])


def test_the_bytes_of_the_machine_s_cells_do_not_change(mixed, review):
    table = mixed(".csv", review)
    out = table.with_stem("out")
    Result.of(Job(table, {})).export(out)
    for old, new in zip(table.read_text().split("\n"), out.read_text().split("\n"), strict=True):
        assert new.startswith(old)


def test_a_parquet_keeps_its_types_its_groups_and_its_scores(tmp_path, review):
    table, truths = made_batch(tmp_path, 12, suffix=".parquet")
    work(review(table), truths)
    out = table.with_stem("out")
    Result.of(Job(table, {})).export(out)
    old, new = pq.read_table(table), pq.read_table(out)
    assert new.select(old.column_names) == old
    assert pq.ParquetFile(out).num_row_groups == pq.ParquetFile(table).num_row_groups


def test_nobody_else_s_file_is_overwritten(mixed, review):
    table = mixed(".csv", review)
    result = Result.of(Job(table, {}))
    with pytest.raises(SettingsError, match="the export has the table's format"):
        result.export(table.with_suffix(".jsonl"))
    before = table.read_bytes()
    with pytest.raises(SettingsError, match="was not written by `digitstrip review`"):
        result.export(table)
    assert table.read_bytes() == before
    with pytest.raises(SettingsError, match="there is no folder"):
        result.export(table.parent / "nowhere" / "out.csv")


def test_an_export_before_any_review_is_refused(tmp_path):
    table = write_table(tmp_path / "t.csv", [row_of("a.png", "1")])
    with pytest.raises(SettingsError, match="nothing was reviewed yet"):
        Result.of(Job(table, {}))


def test_an_export_of_another_table_is_refused(mixed, review):
    table = mixed(".jsonl", review)
    table.write_text(table.read_text() + json.dumps(row_of("9.png", "19")) + "\n")
    with pytest.raises(SettingsError, match="is of another table"):
        Result.of(Job(table, {}))


def test_labels_have_what_people_say_and_why_a_row_is_there(tmp_path, review):
    table, truths = made_batch(tmp_path, 40)
    session = review(table, sample=5)
    work(session, truths)
    result = Result.of(Job(table, {}))
    folder = result.write_labels(tmp_path / "labels")
    queue = session.queue
    assert folder.written == len(queue.entries)
    with (tmp_path / "labels" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        number = int(row["file"].removesuffix(".png"))
        assert row["text"] == truths[number]
        assert row["why"] == ("audit" if number in queue.audited else "review")
        scan = (tmp_path / "scans" / row["file"]).read_bytes()
        assert (tmp_path / "labels" / row["file"]).read_bytes() == scan
    weights = {row["why"]: float(row["weight"]) for row in rows}
    assert weights == {"review": 1, "audit": pytest.approx(queue.accepted / 5, rel=1e-5)}
    whole = sum(float(row["weight"]) for row in rows)
    assert whole == pytest.approx(queue.rows, rel=1e-4)  # the labels stand for the whole batch
    result.write_labels(tmp_path / "again")
    for path in (tmp_path / "labels").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(SettingsError, match="is there already"):
        result.write_labels(tmp_path / "labels")


def weights_of(session):
    return {label.weight for label in labels_of(session.queue, session.decisions)}


def test_labels_that_do_not_stand_for_the_batch_have_no_weights(tmp_path, review):
    table, truths = made_batch(tmp_path, 40)
    session = review(table, sample=5)
    audited = session.queue.audited
    tasks = list(session.tasks("ada", 100))
    for task in [each for each in tasks if each["row"] in audited] + tasks[:4]:
        session.record("ada", [sent(task["row"], truths[task["row"]])])
    assert weights_of(session) == {None}  # the least sure rows are not like those still open
    work(session, truths)
    assert weights_of(session) == {1.0, session.queue.accepted / 5}


def test_without_an_audit_labels_have_no_weights(tmp_path, review):
    table, truths = made_batch(tmp_path, 40)
    session = review(table)
    work(session, truths)
    assert weights_of(session) == {None}


def test_where_nothing_was_accepted_the_rows_to_review_are_the_batch(tmp_path, review):
    table, truths = made_batch(tmp_path, 10, accepted=0.0)
    session = review(table)
    work(session, truths)
    assert weights_of(session) == {1.0}


def test_an_illegible_row_has_no_label_and_the_others_stand_for_it(tmp_path, review):
    table = write_table(tmp_path / "t.jsonl", [row_of(f"{n}.png", "12", 0.5) for n in range(4)])
    session = review(table)
    session.record("ada", [sent(n, "12") for n in range(3)] + [sent(3, what=Action.ILLEGIBLE)])
    labels = labels_of(session.queue, session.decisions)
    assert [label.weight for label in labels] == [pytest.approx(4 / 3)] * 3


def test_what_a_carpet_found_stands_for_itself_alone(tmp_path, review):
    """Else the mistakes that were looked for would count as a part of the random sample."""
    rows = [row_of(f"{n}.png", "171", 0.99) for n in range(20)]
    session = review(write_table(tmp_path / "t.jsonl", rows), sample=6)
    inside, outside = min(session.queue.audited), min({*range(20)} - session.queue.audited)
    odd = [[inside, 1], [outside, 1]]
    session.record("ada", [{"id": "c", "what": "carpet", "digits": odd, "odd": odd}])
    work(session, ["171"] * 20)
    labels = labels_of(session.queue, session.decisions)
    weights = {label.source: (label.why, label.weight) for label in labels}
    assert weights[f"{inside}.png"] == weights[f"{outside}.png"] == ("review", 1.0)
    assert sorted(weights.values())[0] == ("audit", 18 / 5)
    assert sum(weight for _, weight in weights.values()) == pytest.approx(20)
