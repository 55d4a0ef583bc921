import tomllib
from dataclasses import fields

import pytest

from service.errors import SettingsError
from training.config import Config, PageConfigs, SequenceConfig
from training.knobs import OPTIONS, Knobs, defaults, listing


def test_the_listing_has_every_knob_at_its_default_and_changes_nothing(tmp_path):
    text = "\n".join(listing())
    listed = {(table, name) for table, knobs in tomllib.loads(text).items() for name in knobs}
    assert listed | OPTIONS.keys() == {
        (table, each.name) for table, config in defaults().items() for each in fields(config)
    }
    file = tmp_path / "knobs.toml"
    file.write_text(text)
    knobs = Knobs.read(file)
    assert knobs.on("windows", Config()) == Config()
    assert knobs.on("lines", SequenceConfig()) == SequenceConfig()
    assert knobs.pages == PageConfigs()


def test_every_line_of_the_listing_says_what_it_means():
    assert all("  # " in line for line in listing() if line)


def test_a_setting_wins_over_the_file_and_the_file_over_what_was_chosen(tmp_path):
    file = tmp_path / "knobs.toml"
    file.write_text("[lines]\nsteps = 7\nscanned = 0\n[cells]\ndigits = [2, 3]\n")
    knobs = Knobs.read(file, ["lines.steps=9", "written.faint=1"])
    lines = knobs.on("lines", SequenceConfig.further())
    assert (lines.steps, lines.scanned) == (9, 0.0)
    assert lines.learning_rate == SequenceConfig.further().learning_rate
    assert knobs.pages.cells.digits == (2, 3)
    assert knobs.pages.written.faint == 1.0
    assert knobs.pages.digitized == PageConfigs().digitized


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("line.steps=1", r"no table 'line' \(did you mean lines\?\); there are windows, lines"),
        ("lines.step=1", r"lines has no knob 'step' \(did you mean steps\?\)"),
        ("lines.epochs=1", r"lines\.epochs has an option of its own, --strip-epochs"),
        ("lines.steps=1.5", r"lines\.steps is 1\.5; expected a whole number, 0 or more"),
        ("lines.bfloat16=1", r"lines\.bfloat16 is 1; expected true or false"),
        ("cells.faint=1.5", r"cells\.faint is 1\.5; expected a share from 0 to 1"),
        ("cells.faint='much'", r"cells\.faint is 'much'; expected a number"),
        ("cells.digits=[3, 2]", r"cells\.digits is \[3, 2\]; expected two numbers, the lower"),
        ("cells.digits=4", r"cells\.digits is 4; expected two numbers"),
        ("lines=4", r"lines is 4; expected a table, or lines\.KNOB=VALUE"),
        ("lines.steps", r"--set 'lines\.steps' is no TOML"),
    ],
)
def test_what_no_knob_takes_is_refused_by_name(setting, message):
    with pytest.raises(SettingsError, match=message):
        Knobs.read(None, [setting])


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read .*none\.toml"):
        Knobs.read(tmp_path / "none.toml")
