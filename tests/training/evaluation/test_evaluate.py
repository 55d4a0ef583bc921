import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from service.recognition.model import Scorer
from service.recognition.recognizer import Recognizer
from training.cli.main import app
from training.data.scans import read_scans
from training.errors import DatasetError
from training.evaluation.evaluate import (
    BATCH,
    Made,
    evaluate,
    evaluate_windows,
    labels_of,
    read_folder,
    read_strips,
    synthetic_strips,
)
from training.evaluation.metrics import Read, StripFigures
from training.export import load


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    Image.fromarray(np.full((5, 6), 200, np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "labels.csv").write_text("file,text\na.png,0123\nb.png,9\n")
    return tmp_path


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
    for strip, again in zip(one, same, strict=True):
        assert (strip.name, strip.text) == (again.name, again.text)
        np.testing.assert_array_equal(strip.gray(), again.gray())
    assert [strip.text for strip in one] != [strip.text for strip in other]


def test_synthetic_strips_are_dark_on_light_and_as_long_as_asked(digits):
    strips = list(synthetic_strips(digits, 1, 60, lengths=(2, 4)))
    assert {len(strip.text) for strip in strips} == {2, 3, 4}
    assert len({strip.name for strip in strips}) == 60
    for strip in strips:
        assert np.median(strip.gray()) == 255
        assert strip.gray().min() < 30


def test_strips_are_read_as_the_service_reads_them(scorer, digits):
    strips = list(synthetic_strips(digits, 1, 6))
    recognizer = Recognizer(scorer)
    done = read_strips(recognizer, "synthetic", strips)
    for strip, read in zip(strips, done.reads, strict=True):
        reading = recognizer.recognize(strip.gray()).reading
        assert read == Read(strip.name, strip.text, reading.text, reading.confidence)


def test_every_mistake_keeps_its_page_and_nothing_else_does(digits):
    strips = list(synthetic_strips(digits, 1, 4))
    wrong = Made("wrong", "123456789", strips[0].gray())
    done = read_strips(Recognizer(Scorer()), "synthetic", [*strips, wrong])
    assert [mistake.read for mistake in done.mistakes] == [r for r in done.reads if not r.right]
    assert done.mistakes[-1].read.truth == "123456789"
    np.testing.assert_array_equal(done.mistakes[-1].page, wrong.page)


def test_no_strips_at_all_are_refused(scorer):
    with pytest.raises(DatasetError, match="scans: expected strips to read, found 0 unreadable"):
        read_strips(Recognizer(scorer), "scans", [])


@pytest.mark.parametrize("content", [b"", b"text, not pixels", b"\x89PNG\r\n\x1a\n cut"])
def test_what_is_no_image_is_set_aside_with_its_reason(scorer, folder, content):
    (folder / "b.png").write_bytes(content)
    done = read_folder(Recognizer(scorer), folder, held_out=False)
    assert [read.source for read in done.reads] == ["a.png"]
    assert list(done.unreadable) == ["b.png"]
    assert done.unreadable["b.png"].startswith("the ")


def test_a_folder_without_one_readable_image_is_refused_with_a_reason(scorer, folder):
    (folder / "labels.csv").write_text("file,text\nb.png,9\n")
    (folder / "b.png").write_bytes(b"text")
    with pytest.raises(DatasetError, match=r"found 1 unreadable and no other; b\.png: the "):
        read_folder(Recognizer(scorer), folder, held_out=False)


def test_of_many_scans_some_are_read_evenly_from_the_whole_table(scorer, tmp_path):
    rows = []
    for shade in range(10):
        Image.fromarray(np.full((4, 4), shade, np.uint8)).save(tmp_path / f"{shade}.png")
        rows.append(f"{shade}.png,{shade}\n")
    (tmp_path / "labels.csv").write_text("file,text\n" + "".join(rows))
    few = read_folder(Recognizer(scorer), tmp_path, held_out=False, most=4)
    assert [read.source for read in few.reads] == ["0.png", "2.png", "5.png", "7.png"]
    assert len(read_folder(Recognizer(scorer), tmp_path, held_out=False, most=99).reads) == 10


def test_held_out_scans_are_those_that_training_leaves_out(scorer, tmp_path):
    rows = []
    for shade in range(60):
        Image.fromarray(np.full((4, 4), shade, np.uint8)).save(tmp_path / f"{shade}.png")
        rows.append(f"{shade}.png,{shade}\n")
    (tmp_path / "labels.csv").write_text("file,text\n" + "".join(rows))
    done = read_folder(Recognizer(scorer), tmp_path, held_out=True)
    kept = [scan.name for scan in read_scans(tmp_path) if scan.held_out]
    assert 0 < len(kept) < 30
    assert [read.source for read in done.reads] == kept
    assert done.source == f"{tmp_path.name}, held out"
    assert len(read_folder(Recognizer(scorer), tmp_path, held_out=False).reads) == 60


# --- a whole model


def test_an_evaluation_tells_the_model_its_command_and_every_source(
    exported, scorer, validation, folder
):
    figures = evaluate(exported[0], validation, [folder], seed=3, synthetic=5)
    assert figures.digest == scorer.digest
    assert figures.metadata == scorer.metadata
    assert figures.command == f"--seed 3 --synthetic 5 --strips $DATA/{folder.name}"
    assert [each.reads.source for each in figures.sources] == ["synthetic", folder.name]
    assert [each.figures.strips for each in figures.sources] == [5, 2]
    for each in figures.sources:
        assert each.figures == StripFigures.of(each.reads.reads, seed=3)
    assert figures.windows == evaluate_windows(scorer, validation, seed=3)


def test_without_test_digits_a_folder_is_measured_and_nothing_else(folder, monkeypatch, tmp_path):
    def none(*_arguments):
        raise AssertionError("MNIST was loaded")

    monkeypatch.setattr("training.data.digits.load_mnist", none)
    new = tmp_path / "new"
    arguments = ["evaluate", "--strips", folder, "--json", new / "a.json", "--pictures", new / "p"]
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    figures = json.loads((new / "a.json").read_text())
    assert figures["windows"] is None
    assert figures["evaluation"] == f"--seed 1 --strips $DATA/{folder.name}"
    assert [each["source"] for each in figures["sources"]] == [folder.name]
    assert (new / "p" / "risk-coverage.png").exists()
    assert "accepted by the service, for 1% error" in " ".join(done.output.split())
