import json

import numpy as np
import pytest
import torch
from PIL import Image

from service.recognizer import Recognizer
from training.dataset import DatasetError
from training.evaluate import (
    BATCH,
    Read,
    StripFigures,
    evaluate,
    evaluate_strips,
    evaluate_windows,
    labelled_strips,
    labels_of,
    synthetic_strips,
)
from training.export import load

pytestmark = pytest.mark.filterwarnings(
    # The `exported` model may be made here: torch.onnx.export copies its own tree specs,
    # whose class torch itself deprecates.
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"
)


def reads(*pairs):
    return [Read("", truth, text, 1.0) for truth, text in pairs]


@pytest.mark.parametrize(
    ("pairs", "exact", "error_rate"),
    [
        ([("123", "123")], 1, 0),
        ([("123", "124")], 0, 1 / 3),  # a substitution
        ([("123", "13")], 0, 1 / 3),  # a deletion
        ([("123", "1223")], 0, 1 / 3),  # an insertion
        ([("123", "")], 0, 1),
        ([("1", "234")], 0, 3),  # more edits than characters
        ([("12", "12"), ("3456", "3556"), ("78", "78"), ("90", "09")], 0.5, 3 / 10),
    ],
)
def test_strip_figures_count_exact_strings_and_edits_per_character(pairs, exact, error_rate):
    figures = StripFigures.of(reads(*pairs))
    assert figures.strips == len(pairs)
    assert figures.exact == exact
    assert figures.character_error_rate == pytest.approx(error_rate)


def test_strip_figures_count_any_iterable_once():
    assert StripFigures.of(iter(reads(("1", "1"), ("2", "3")))) == StripFigures(2, 0.5, 0.5)


# --- labelled folders


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    Image.fromarray(np.full((5, 6), 200, np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "labels.csv").write_text("file,text\na.png,0123\nb.png,9\n")
    return tmp_path


def test_a_labelled_folder_gives_each_file_its_text_and_its_page(folder):
    (first, second) = labelled_strips(folder)
    assert first[:2] == ("a.png", "0123")
    np.testing.assert_array_equal(first[2], np.arange(12).reshape(3, 4))
    assert second[:2] == ("b.png", "9")
    assert second[2].shape == (5, 6)


def test_columns_may_stand_in_any_order_among_others(folder):
    (folder / "labels.csv").write_text("writer,text,file\nx,0123,a.png\n")
    ((name, text, _),) = labelled_strips(folder)
    assert (name, text) == ("a.png", "0123")


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"expected a labels\.csv, found none"):
        list(labelled_strips(tmp_path))


@pytest.mark.parametrize(
    ("table", "found"),
    [("file,truth\na.png,1\n", r"\['file', 'truth'\]"), ("text\n1\n", r"\['text'\]"), ("", "None")],
)
def test_a_table_that_lacks_a_column_is_refused_with_its_columns(folder, table, found):
    (folder / "labels.csv").write_text(table)
    with pytest.raises(DatasetError, match=rf"labels\.csv: expected columns file,text, .*{found}"):
        list(labelled_strips(folder))


@pytest.mark.parametrize("row", ["a.png", "a.png,0123,4"])
def test_a_row_with_too_few_or_too_many_cells_is_refused_with_its_line(folder, row):
    (folder / "labels.csv").write_text(f"file,text\nb.png,9\n{row}\n")
    with pytest.raises(DatasetError, match=r"labels\.csv: line 3 "):
        list(labelled_strips(folder))


def test_a_missing_image_is_refused_naming_it(folder):
    (folder / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"b\.png: No such file"):
        list(labelled_strips(folder))


@pytest.mark.parametrize("content", [b"", b"text, not pixels", b"\x89PNG\r\n\x1a\n cut"])
def test_an_image_that_cannot_be_read_is_refused_naming_it(folder, content):
    (folder / "b.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"b\.png: the "):
        list(labelled_strips(folder))


# --- windows


@torch.inference_mode()
def torch_labels(network, windows):
    return network(torch.from_numpy(windows[:, None]))[:, 0, 0].argmax(dim=1).numpy()


def test_labels_of_more_windows_than_a_batch_are_the_network_s(scorer, finished_run, mnist5k):
    windows = mnist5k.images[:: 5000 // (BATCH + 7)]
    assert len(windows) > BATCH
    network, _ = load(finished_run / "best.pt")
    expected = torch_labels(network, windows)
    assert len(set(expected.tolist())) > 2
    # Where two labels are within rounding of each other, the runtimes may differ.
    assert (labels_of(scorer, windows) == expected).mean() > 0.99


def test_window_figures_are_the_shares_that_the_model_tells(scorer, finished_run, validation):
    figures = evaluate_windows(scorer, validation, seed=1)
    network, _ = load(finished_run / "best.pt")
    wrong = (torch_labels(network, validation.images) != validation.labels).mean()
    assert figures.digits == len(validation)
    assert figures.digit_error == pytest.approx(wrong, abs=0.01)
    assert figures.nothing["all"] == sum(figures.nothing.values()) / 2 == 10_000
    found = figures.none_found
    assert set(found) == {"blank", "noise", "side digits", "all"}
    assert all(0 <= share <= 1 for share in found.values())
    assert found["all"] == pytest.approx(
        0.1 * found["blank"] + 0.1 * found["noise"] + 0.8 * found["side digits"]
    )


# --- strips


def test_synthetic_strips_are_decided_by_their_seed(digits):
    one, same, other = (list(synthetic_strips(digits, seed, 4)) for seed in (1, 1, 2))
    assert [strip[:2] for strip in one] == [strip[:2] for strip in same]
    for (_, _, page), (_, _, again) in zip(one, same, strict=True):
        np.testing.assert_array_equal(page, again)
    assert [text for _, text, _ in one] != [text for _, text, _ in other]


def test_synthetic_strips_are_dark_on_light_and_as_long_as_asked(digits):
    strips = list(synthetic_strips(digits, 1, 60, lengths=(2, 4)))
    assert {len(text) for _, text, _ in strips} == {2, 3, 4}
    assert len({name for name, _, _ in strips}) == 60
    for _, _, page in strips:
        assert np.median(page) == 255
        assert page.min() < 30


def test_strips_are_read_as_the_service_reads_them(scorer, digits):
    strips = list(synthetic_strips(digits, 1, 6))
    recognizer = Recognizer(scorer)
    figures, read = evaluate_strips(recognizer, strips)
    for (name, truth, page), each in zip(strips, read, strict=True):
        reading = recognizer.recognize(page).reading
        assert each == Read(name, truth, reading.text, reading.confidence)
    assert figures == StripFigures.of(read)
    assert figures.strips == 6


def test_no_strips_at_all_are_refused(scorer):
    with pytest.raises(DatasetError, match="there is no strip to evaluate"):
        evaluate_strips(Recognizer(scorer), [])


# --- a whole model


def test_an_evaluation_tells_the_model_its_making_and_every_figure(
    exported, scorer, validation, folder, finished_run
):
    model, _ = exported
    figures = evaluate(model, validation, [folder], seed=3, synthetic=5)
    assert figures.digest == scorer.digest
    assert figures.training == json.loads(load(finished_run / "best.pt")[1])
    assert figures.seed == 3
    assert figures.synthetic.strips == 5
    assert set(figures.folders) == {str(folder)}
    assert figures.folders[str(folder)] == StripFigures.of(figures.reads)
    assert [(read.source, read.truth) for read in figures.reads] == [
        ("a.png", "0123"),
        ("b.png", "9"),
    ]
    assert figures.windows == evaluate_windows(scorer, validation, seed=3)
