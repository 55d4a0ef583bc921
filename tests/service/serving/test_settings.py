import pytest
from typer.main import get_command

from service.cli.connection_options import VARIABLES
from service.cli.main import app
from service.errors import SettingsError
from service.serving.settings import Settings, check_variables, load_settings


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DIGITSTRIP_MAX_WIDHT", "DIGITSTRIP_MAX_WIDTH"),
        ("DIGITSTRIP_WORKER", "DIGITSTRIP_WORKERS"),
        ("digitstrip_tokens_fil", "DIGITSTRIP_TOKENS_FILE"),
        ("DIGITSTRIP_ADRESS", "DIGITSTRIP_ADDRESS"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused_with_the_one_that_may_be_meant(name, nearest):
    with pytest.raises(SettingsError, match=f"^{name} is no setting; did you mean {nearest}\\?$"):
        check_variables({"PATH": "/bin", name: "1"}, VARIABLES)


def test_a_variable_like_no_setting_is_refused_without_a_guess():
    with pytest.raises(SettingsError, match=r"^DIGITSTRIP_QQQQ is no setting$"):
        check_variables({"DIGITSTRIP_QQQQ": ""})


def test_every_setting_may_be_in_the_environment_in_either_case():
    for name in Settings.model_fields:
        check_variables({f"DIGITSTRIP_{name.upper()}": "1", f"digitstrip_{name}": "1"})


def test_what_other_commands_take_from_the_environment_is_let_be():
    commands = get_command(app).commands
    taken = {p.envvar for each in commands.values() for p in each.params} - {None, "LISTEN"}
    assert taken == VARIABLES
    check_variables(dict.fromkeys(taken, "1"), VARIABLES)


@pytest.mark.parametrize(
    "rest",
    [
        *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "PORT", "PORT_50051_TCP"),
        *("PORT_50051_TCP_PROTO", "PORT_50051_TCP_PORT", "PORT_50051_TCP_ADDR"),
        *("METRICS_SERVICE_HOST", "METRICS_PORT_9464_TCP_ADDR"),  # of digitstrip-metrics
    ],
)
def test_the_variables_that_kubernetes_sets_for_a_service_of_that_name_are_let_be(rest):
    check_variables({f"DIGITSTRIP_{rest}": "10.0.0.1"})


def test_a_server_does_not_start_with_a_variable_that_sets_nothing(run):
    ended = run("serve", "--listen", "127.0.0.1:0", DIGITSTRIP_TOKENS_FIL="tokens")
    assert ended.returncode == 2
    assert b"did you mean DIGITSTRIP_TOKENS_FILE?" in b" ".join(ended.stderr.split())


def test_a_key_of_the_file_that_sets_nothing_is_refused_with_the_one_that_may_be_meant(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("max_widht = 100\n")
    with pytest.raises(SettingsError, match=r"max_widht is no setting; did you mean max_width\?"):
        load_settings(file)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("web_hosts", "https://digits.example", "names without scheme and port"),
        ("web_hosts", "digits.example:8080", "names without scheme and port"),
        ("web_origins", "ui.example", "scheme://host"),
        ("web_origins", "https://ui.example/", "scheme://host"),
        ("web_origins", "*", "scheme://host"),
    ],
)
def test_names_that_no_browser_sends_are_refused(name, value, expected):
    with pytest.raises(SettingsError, match=f"{name} = .*expected {expected}.* not '"):
        load_settings(**{name: (value,)})
