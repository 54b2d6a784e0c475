"""The engine that a start asks for: known before any package is there, and the one that the settings give later."""

import os
import subprocess
import sys
import typing

import pytest

from ventes import config
from ventes.config import PROJECT
from ventes.errors import ConfigError
from ventes.install.asked_engine import ENGINES, asked_engine


@pytest.mark.parametrize(
    ("arguments", "env", "file", "engine"),
    [
        ([], {}, None, "spark"),
        ([], {}, 'engine = "embedded"\n', "embedded"),
        ([], {"VENTES_ENGINE": "spark"}, 'engine = "embedded"\n', "spark"),
        (["--engine", "embedded"], {"VENTES_ENGINE": "spark"}, None, "embedded"),
        (["--foreground", "--engine=embedded", "--yes"], {}, 'engine = "spark"\n', "embedded"),
        (["--engine", "embedded", "--engine", "spark"], {}, None, "spark"),
    ],
)
def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path, arguments, env, file, engine):
    if file is not None:
        (tmp_path / "ventes.toml").write_text(file)
    assert asked_engine(arguments, env, tmp_path) == engine


@pytest.mark.parametrize(
    "text",
    [
        'engine = "embedded"              # who runs the two jobs\n[kafka]\nport = 9092\n',
        "# engine = \"spark\"\n\n  engine='embedded'\n",
        "\ufeffengine = 'embedded'\n",
        '[source]\ntime_zone = "UTC"\n',
        "",
    ],
)
def test_a_file_is_read_as_the_settings_read_it(tmp_path, monkeypatch, text):
    named = tmp_path / "named.toml"
    named.write_text(text, encoding="utf-8")
    env = {"VENTES_CONFIG": str(named)}
    asked = asked_engine([], env, tmp_path / "no project")
    monkeypatch.setenv("VENTES_CONFIG", str(named))
    monkeypatch.delenv("VENTES_ENGINE", raising=False)
    if not text.startswith("\ufeff"):
        assert asked == config.load().engine
    assert asked == ("embedded" if "embedded" in text else "spark")


def test_the_choice_and_the_default_are_those_of_the_settings(tmp_path):
    assert set(ENGINES) == set(typing.get_args(config.Engine))
    assert asked_engine([], {}, tmp_path) == config.Settings.model_fields["engine"].default


@pytest.mark.parametrize(
    ("arguments", "env", "where"),
    [
        (["--engine", "flink"], {}, "--engine"),
        (["--engine"], {}, "--engine"),
        ([], {"VENTES_ENGINE": ""}, "VENTES_ENG"),
    ],
)
def test_an_engine_that_does_not_exist_is_refused_before_anything_is_installed(tmp_path, arguments, env, where):
    with pytest.raises(ConfigError, match=where) as caught:
        asked_engine(arguments, env, tmp_path)
    assert "spark, embedded" in caught.value.hint


def test_the_installer_refuses_it_with_the_exit_code_of_a_wrong_setting():
    """In a Python that sees no package at all."""
    script = f"import sys; sys.path.insert(0, {str(PROJECT / 'src')!r}); sys.argv = ['install', '--engine', 'flink']\n"
    script += "from ventes.install.steps import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-S", "-I", "-c", script], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2
    assert "there is no engine 'flink'" in done.stderr
