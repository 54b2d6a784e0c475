"""[[alerts]] and [alert_channels]: what is refused, under which name, without an address."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from ventes import config
from ventes.config import PROJECT
from ventes.errors import ConfigError
from ventes.settings.alerts import MEASURES, Alert
from ventes.settings.value_types import seconds_of

GOOD: dict[str, Any] = {"name": "lag", "measure": "lag_seconds", "above": 60}
CANARY = "canary-5ecr3t"


pytestmark = pytest.mark.usefixtures("toml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measure": "lagseconds"}, "alerts.lag.measure = 'lagseconds': is not measured; allowed: lag_seconds, "),
        ({"measure": "lagseconds"}, "perhaps lag_seconds is meant"),
        ({"for": "2m"}, "alerts.lag.for = '2m': must be a duration such as"),
        ({"for": 120}, "alerts.lag.for = 120: must be a duration such as"),
        ({"severity": "high"}, "alerts.lag.severity = 'high': must be 'info', 'warning' or 'critical'"),
        ({"above": None}, "alerts.lag: lag_seconds needs a limit: above or below"),
        ({"below": 5}, "alerts.lag: give either above or below"),
        ({"of": "page"}, "alerts.lag: of = 'page': lag_seconds is one of bronze, silver"),
        ({"sql": "SELECT 1"}, "alerts.lag: give either measure or sql"),
        ({"within": "10 min"}, "alerts.lag: lag_seconds takes no within"),
        ({"measure": "rejected_percent"}, 'alerts.lag: rejected_percent needs within, from "10 s" to "31 d"'),
        ({"sentence": "{what}"}, "{what} cannot stand in a sentence; allowed: {value}, {limit}, {detail}, {name}"),
        ({"sentence": "{value!r}"}, "cannot stand in a sentence"),
        ({"sentence": "{"}, "a brace that is meant is written twice"),
        ({"every": "0.5 s"}, "alerts.lag: every must be at least 1 s"),
        ({"remind": "1 s"}, "alerts.lag: remind must be at least 10 s"),
        ({"channel": "ops"}, "unknown key 'alerts.lag.channel'"),
        ({"channels": ["op"]}, "alerts.lag.channels: there is no channel 'op' in [alert_channels]: ops"),
        ({"name": "a b"}, "alerts.a b.name = 'a b': does not have the form"),
        ({"name": None}, "alerts.number 1.name"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(changes: dict[str, Any], said: str) -> None:
    alert = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        config.load(alerts=[alert], alert_channels={"ops": "json://h"})
    assert said in str(caught.value)


def test_two_alerts_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two alerts are called 'lag'"):
        config.load(alerts=[GOOD, GOOD])


@pytest.mark.parametrize(
    "text",
    [
        f'[alert_channels]\nops = "json://u:{CANARY}@h/x y"\n',
        f'[alert_channels]\nops = "{CANARY}"\n',
        f'[alert_channels]\n"slack://{CANARY}" = ""\n',
        f'[alert_channels]\nops = ["json://{CANARY}"]\n',
        f'alert_channels = "json://{CANARY}"\n',
        f'[[alerts]]\nname = "a"\nmeasure = "lag_seconds"\nabove = 1\nchannels = ["slack://{CANARY}/b/c"]\n',
        f'[[alerts]]\nname = "a"\nmeasure = "lag_seconds"\nabove = 1\nchannels = "slack://{CANARY}/b/c"\n',
        f'[[alerts]]\nname = "slack://{CANARY}"\nmeasure = "lag_seconds"\nabove = 1\n',
        f'[[alerts]]\nname = "a"\nmeasure = "lag_seconds"\nabove = 1\nchannel = "slack://{CANARY}/b/c"\n',
    ],
)
def test_no_error_repeats_an_address(toml: Path, text: str) -> None:
    toml.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_an_address_is_shown_nowhere_and_another_one_is_another_fingerprint(toml: Path) -> None:
    toml.write_text(f'[alert_channels]\nops = "json://user:{CANARY}@h/hook/{CANARY}%2Fx"\n', encoding="utf-8")
    settings = config.load()
    forms = [repr(settings), str(settings.model_dump()), settings.model_dump_json(), str(vars(settings))]
    assert [form for form in forms if CANARY in form] == []
    assert {CANARY, f"{CANARY}/x"} <= set(settings.secrets())
    other = config.load(alert_channels={"ops": "json://user:other@h"})
    assert other.fingerprint() != settings.fingerprint()


def test_a_file_that_others_may_read_must_hold_no_address(toml: Path) -> None:
    toml.write_text('[alert_channels]\nops = "json://h"\n', encoding="utf-8")
    toml.chmod(0o644)
    with pytest.raises(ConfigError, match=r"holds a secret \(alert_channels.ops\)"):
        config.load()


def test_the_environment_has_the_address_of_a_declared_channel(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[alert_channels]\nops = ""\n[[alerts]]\nname = "a"\nsql = "SELECT true"\nchannels = ["ops"]\n')
    toml.chmod(0o644)
    assert config.load().channel_urls() == {"ops": ""}, "commands without the variable work"
    monkeypatch.setenv("VENTES_ALERT_CHANNELS__OPS", f"json://{CANARY}")
    assert config.load().channel_urls() == {"ops": f"json://{CANARY}"}
    monkeypatch.setenv("VENTES_ALERT_CHANNELS__OPS", CANARY)
    with pytest.raises(ConfigError, match="no URL of Apprise") as caught:
        config.load()
    assert CANARY not in str(caught.value)


def test_the_document_names_every_key_and_measure_and_its_examples_are_accepted(toml: Path) -> None:
    text = (PROJECT / "docs" / "alerts.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text))
    assert {field.alias or name for name, field in Alert.model_fields.items()} <= named
    assert set(MEASURES) <= set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    for measure in MEASURES.values():
        assert set(measure.of) <= named
    blocks = re.findall(r"```toml\n(.*?)```", text, re.S)
    assert len(blocks) == 4
    for block in blocks:
        channel = "" if "[alert_channels]" in block else '[alert_channels]\nops = "json://h"\n'
        toml.write_text(channel + block, encoding="utf-8")
        settings = config.load()
    assert [alert.name for alert in settings.alerts] == ["lag", "rejected", "no-sale", "failed", "disk", "revenue"]


def test_durations() -> None:
    texts = ("90 s", "2min", "1 h 30 min", "7 d", "0.5 s", "0 s")
    assert [seconds_of(text) for text in texts] == [90, 120, 5400, 604_800, 0.5, 0]
    for wrong in ("", "2", "2 m", "-1 s", "1 h, 2 min", "1e3 s", "4000 d"):
        with pytest.raises(ValueError, match="must be"):
            seconds_of(wrong)
