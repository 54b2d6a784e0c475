"""Wrong settings: what is refused, under which name, and the place that the error names."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from ventes import config
from ventes.config import Settings
from ventes.errors import ConfigError


def refusal(**flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(**flags)
    assert caught.value.hint
    return str(caught.value)


# -- encodings --------------------------------------------------------------------------------


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_read(toml: Path) -> None:
    toml.write_bytes(b'\xef\xbb\xbf[page]\r\nport = 8600\r\ncurrency = "\xe2\x82\xac"\r\n')
    page = config.load().page
    assert (page.port, page.currency) == (8600, "€")


def test_latin_1_is_named_with_its_line(toml: Path) -> None:
    toml.write_bytes('[page]\nport = 8600\n# "Catégorie"\n'.encode("latin-1"))
    said = refusal()
    assert f"{toml} is not UTF-8" in said
    assert "line 3" in said
    assert "0xe9" in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(toml: Path, encoding: str) -> None:
    toml.write_bytes("[page]\nport = 8600\n".encode(encoding))
    assert f"{toml} is encoded as UTF-16: save it as UTF-8" in refusal()


def test_what_is_no_toml_is_named_with_its_line(toml: Path) -> None:
    toml.write_text("[page]\nport = = 1\n", encoding="utf-8")
    said = refusal()
    assert str(toml) in said
    assert "line 2" in said


# -- types ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("[page]\nport = true", "page.port = true", "whole number"),
        ('[page]\nport = "8501"', "page.port = '8501'", "whole number"),
        ('[metrics]\naddress = "example.com"', "metrics.address = 'example.com'", "an IP address"),
        ("[metrics]\nport = 8501", "metrics.port = 8501 is page.port too", "a port of its own"),
        ("[page]\nport = 8501.0", "page.port = 8501.0", "whole number"),
        ("[page]\nsql = 1", "page.sql = 1", "true or false"),
        ("[page]\nsql_seconds = true", "page.sql_seconds = true", "a number"),
        ('[page]\nhosts = "a"', "page.hosts = 'a'", "a list"),
        ("[page]\ncurrency = 5", "page.currency = 5", "text, in quotes"),
        ("page = 3", "page: must be", "section"),
        ("[rules]\nstandard_from = true", "rules.standard_from = true", "a number"),
        ("[maintenance]\nhistory_hours = inf", "maintenance.history_hours = inf", "finite"),
        ("[maintenance]\nhistory_hours = nan", "maintenance.history_hours = nan", "finite"),
        ("[rules]\npremium_from = inf", "rules.premium_from = Infinity", "finite"),
        ("[maintenance]\nhistory_hours = 1e300", "maintenance.history_hours", "less than or equal"),
        ("[logs]\nkeep = 1000000000", "logs.keep = 1000000000", "less than or equal"),
        ("[producer]\nrate = -1", "producer.rate = -1", "greater than 0"),
        ("[page]\nprot = 1", "unknown key 'page.prot'", ""),
        ('config_file = "x"', "unknown key 'config_file'", ""),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_key_value_and_file(toml: Path, text: str, key: str, why: str) -> None:
    toml.write_text(text, encoding="utf-8")
    said = refusal()
    assert key in said
    assert why in said
    assert f"in {toml}" in said


def test_numbers_without_a_point_are_amounts_and_seconds_too(toml: Path) -> None:
    toml.write_text("[rules]\nstandard_from = 50\n[spark]\nbronze_trigger_seconds = 1\n", encoding="utf-8")
    settings = config.load()
    assert settings.rules.standard_from == Decimal(50)
    assert settings.spark.bronze_trigger_seconds == 1.0


def test_a_target_is_of_a_figure_with_a_value_of_the_day(toml: Path) -> None:
    toml.write_text('[page.targets]\n"Total Revenue" = 10000\n"Avg Transaction" = 45.5\n', encoding="utf-8")
    assert config.load().page.targets == {"Total Revenue": Decimal(10000), "Avg Transaction": Decimal("45.5")}
    listed = "'Total Records', 'Unique Clients', 'Total Revenue', 'Avg Transaction'"
    for text, why in (
        (
            '"Turnover" = 1',
            f"page.targets: the page has no figure 'Turnover'; figures with a value of the day: {listed}",
        ),
        (
            '"Unique Products" = 1',
            f"the figure 'Unique Products' has no value of the day; those that have one: {listed}",
        ),
        ('"Total Revenue" = 0', "page.targets.Total Revenue = 0: must be greater than 0"),
        ('"Total Revenue" = true', "page.targets.Total Revenue = true: must be a number"),
    ):
        toml.write_text(f"[page.targets]\n{text}\n", encoding="utf-8")
        said = refusal()
        assert why in said
        assert str(toml) in said


# -- the environment --------------------------------------------------------------------------


def test_the_environment_is_text_that_reads_as_the_keys_type(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "VENTES_ENGINE": "embedded",
        "VENTES_PAGE__PORT": "8600",
        "VENTES_PAGE__SQL": "false",
        "VENTES_PAGE__SQL_SECONDS": "1.5",
        "VENTES_PAGE__HOSTS": '["a.example", "*.lan"]',
        "VENTES_RULES__STANDARD_FROM": "0.1",
        "VENTES_KAFKA": '{"managed": false, "retention_hours": 24}',
        "VENTES_KAFKA__BOOTSTRAP": "h1:9092,h2:9092",
        "VENTES_KAFKA__SECURITY__SASL_USERNAME": "anna",
        "VENTES_SPARK__CONF__spark.sql.caseSensitive": "true",
    }.items():
        monkeypatch.setenv(name, text)
    settings = config.load()
    assert settings.engine == "embedded"
    assert (settings.page.port, settings.page.sql, settings.page.sql_seconds) == (8600, False, 1.5)
    assert settings.page.hosts == ["a.example", "*.lan"]
    assert settings.rules.standard_from == Decimal("0.1")
    assert (settings.kafka.managed, settings.kafka.retention_hours) == (False, 24)
    assert settings.kafka.bootstrap == "h1:9092,h2:9092"
    assert settings.kafka.client_security() == {"sasl.username": "anna"}
    assert settings.spark.further_conf() == {"spark.sql.caseSensitive": "true"}


def test_flag_before_variable_before_file(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text("[page]\nport = 1001\nrefresh_seconds = 7\n[kafka]\nport = 1001\n", encoding="utf-8")
    monkeypatch.setenv("VENTES_PAGE__PORT", "1002")
    monkeypatch.setenv("VENTES_KAFKA__PORT", "1002")
    settings = config.load(page={"port": 1003})
    assert (settings.page.port, settings.kafka.port, settings.page.refresh_seconds) == (1003, 1002, 7)


@pytest.mark.parametrize("text", ["a,b", "a", '"a"', "{}", ""])
def test_a_list_that_is_not_json_is_named_with_an_example(
    toml: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("VENTES_PAGE__HOSTS", text)
    said = refusal()
    assert "VENTES_PAGE__HOSTS must be a list in JSON" in said
    assert """VENTES_PAGE__HOSTS='["a", "b"]'""" in said


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("VENTES_PAGE__PORT", "99999", "page.port = 99999"),
        ("VENTES_PAGE__PORT", "many", "page.port = 'many'"),
        ("VENTES_PAGE__SQL", "perhaps", "page.sql = 'perhaps'"),
        ("VENTES_MAINTENANCE__HISTORY_HOURS", "inf", "maintenance.history_hours = inf"),
        ("VENTES_PAGE__HOSTS", '["a", "*"]', "page.hosts.1 = '*'"),
        ("VENTES_PAGE__PROT", "1", "unknown key 'page.prot'"),
        ("VENTES_ENGINE", "flink", "engine = 'flink'"),
    ],
)
def test_a_wrong_variable_is_named(toml: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, key: str) -> None:
    toml.write_text("[page]\nport = 1001\n", encoding="utf-8")
    monkeypatch.setenv(name, text)
    said = refusal()
    assert key in said
    assert f"in the environment variable {name}" in said
    assert str(toml) not in said


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("VENTES_PAGE__PORT", "abc", "must be a whole number, at least 1, at most 65,535"),
        ("VENTES_KAFKA__PARTITIONS", "1.5", "must be a whole number, at least 1, at most 1,000"),
        ("VENTES_PAGE__SQL_SECONDS", "soon", "must be a number, more than 0, at most 60"),
        ("VENTES_PAGE__SQL", "perhaps", "must be true or false"),
        ("VENTES_LOGS__LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("VENTES_PAGE__CURRENCY", "francs", "must have at most 5 characters"),
        ("VENTES_SPARK__DRIVER_MEMORY", "much", "does not have the form that ventes.toml shows"),
    ],
)
def test_a_wrong_variable_is_told_what_is_allowed(
    toml: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, allowed: str
) -> None:
    monkeypatch.setenv(name, text)
    said = refusal()
    assert f"= {text!r}: {allowed} (in the environment variable {name})" in said
    assert "should" not in said


@pytest.mark.parametrize(
    ("content", "variables", "places"),
    [
        ("[page]\nport = 99999", {"VENTES_PAGE": '{"sql": false}'}, ["file"]),
        ("[kafka]\nreplication = 3", {"VENTES_KAFKA__PORT": "9999"}, ["file"]),
        (
            "[kafka]\nmanaged = false\nreplication = 2",
            {"VENTES_KAFKA__MIN_INSYNC_REPLICAS": "3", "VENTES_KAFKA__PORT": "9999"},
            ["file", "VENTES_KAFKA__MIN_INSYNC_REPLICAS"],
        ),
        ("", {"VENTES_METRICS__PORT": "8501", "VENTES_PAGE__SQL": "false"}, ["VENTES_METRICS__PORT"]),
        (
            '[page.login]\nviewers = ["a@example.com"]',
            {"VENTES_PAGE__LOGIN": '{"issuer": "http://example.com"}', "VENTES_PAGE__LOGIN__SESSION_HOURS": "2"},
            ["VENTES_PAGE__LOGIN"],
        ),
        ("", {"VENTES_PAGE": '{"targets": {"Sails": 1}}', "VENTES_PAGE__SQL": "false"}, ["VENTES_PAGE"]),
    ],
)
def test_only_places_that_hold_a_refused_key_are_named(
    toml: Path, monkeypatch: pytest.MonkeyPatch, content: str, variables: dict[str, str], places: list[str]
) -> None:
    toml.write_text(f"{content}\n", encoding="utf-8")
    toml.chmod(0o600)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = refusal()
    assert {name for name in variables if re.search(rf"variable {name}\b", said)} == set(places) - {"file"}
    assert (str(toml) in said) == ("file" in places)


def test_a_wrong_flag_is_named(toml: Path) -> None:
    said = refusal(engine="flink", kafka={"port": 0})
    assert "engine = 'flink'" in said
    assert "kafka.port = 0" in said
    assert said.count("on the command line") == 2


def test_a_variable_that_is_no_setting_is_named(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_PAGES__PORT", "1")
    assert "environment variable VENTES_PAGES__PORT is no setting" in refusal()


# -- paths ------------------------------------------------------------------------------------

ODD = ["%20", "100%", "\\", "\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "*", "?", "[x]", "{x}", '"', ","]


@pytest.mark.parametrize("key", ["lake", "state", "logs"])
@pytest.mark.parametrize("odd", ODD)
def test_a_path_that_another_program_would_read_otherwise_is_refused(toml: Path, key: str, odd: str) -> None:
    said = refusal(paths={key: f"/srv/a{odd}b"})
    assert f"paths.{key} = " in said
    assert "\n" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize("path", ["", "  ", "~/lake", "s3://bucket/lake", "file:///lake"])
def test_a_path_that_is_no_folder_is_refused(toml: Path, path: str) -> None:
    assert "paths.state = " in refusal(paths={"state": path})
    if not path.startswith("s3:"):
        assert "paths.lake = " in refusal(paths={"lake": path})


def test_a_relative_path_in_a_folder_with_an_odd_name_is_refused(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "my%20shop"
    odd.mkdir()
    (odd / "ventes.toml").write_text('[paths]\nlake = "/tmp/delta"\nlogs = "/tmp"\n', encoding="utf-8")
    monkeypatch.setenv("VENTES_CONFIG", str(odd / "ventes.toml"))
    said = refusal()
    assert "paths.state = " in said
    assert "'%'" in said


@pytest.mark.parametrize("name", ["mon lac", "données été", "日本", "a'b", "a=b", "a&b#c", "a:b"])
def test_blanks_accents_and_the_like_are_accepted(toml: Path, name: str) -> None:
    assert config.load(paths={"lake": f"/srv/{name}"}).lake == Path(f"/srv/{name}")


# -- who may read the file --------------------------------------------------------------------

SECRET = '[kafka]\nmanaged = false\n[kafka.security]\n"sasl.password" = "x"\n'


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_refused(toml: Path, mode: int) -> None:
    toml.write_text(SECRET, encoding="utf-8")
    toml.chmod(mode)
    said = refusal()
    assert "kafka.security.sasl.password" in said
    assert f"{mode:04o}" in said
    assert said.endswith(f"chmod 600 {toml}")
    toml.chmod(0o600)
    assert config.load().kafka.client_security() == {"sasl.password": "x"}


def test_a_secret_of_spark_counts_too(toml: Path) -> None:
    toml.write_text('[spark.conf]\n"spark.hadoop.fs.s3a.secret.key" = "x"\n', encoding="utf-8")
    toml.chmod(0o644)
    assert "spark.conf.spark.hadoop.fs.s3a.secret.key" in refusal()


def test_a_file_that_everybody_may_write_is_refused(toml: Path) -> None:
    toml.chmod(0o646)
    said = refusal()
    assert "0646" in said
    assert said.endswith(f"chmod go-w {toml}")


@pytest.mark.parametrize("text", ["[page]\nport = 8600\n", '[kafka.security]\n"sasl.username" = "anna"\n', ""])
def test_without_a_secret_everybody_may_read_it(toml: Path, text: str) -> None:
    toml.write_text(text, encoding="utf-8")
    toml.chmod(0o644)
    assert isinstance(config.load(), Settings)
