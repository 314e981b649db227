from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.config import (
    SETTINGS,
    Settings,
    cache_dir,
    config_dir,
    default_dump_dir,
    load_settings,
    settings_reference,
    state_dir,
)
from lastwords.sdk import install

REPOSITORY = Path(__file__).parents[3]


def codes(problems: list) -> list[str]:
    return [problem.code for problem in problems]


def test_what_is_not_given_has_its_default() -> None:
    settings, problems = load_settings({"product": "p", "version": "1"}, {})
    assert problems == []
    assert (settings.product, settings.budget_s, settings.consent) == ("p", 10.0, None)


def test_the_environment_beats_the_code() -> None:
    environ = {"LASTWORDS_URL": "http://other/", "LASTWORDS_ENABLED": "0"}
    settings, problems = load_settings({"url": "http://one/", "enabled": True}, environ)
    assert problems == []
    assert (settings.url, settings.enabled) == ("http://other/", False)


def test_a_wrong_environment_variable_is_named_and_the_argument_counts() -> None:
    settings, problems = load_settings({"budget_s": 3}, {"LASTWORDS_BUDGET_S": "soon"})
    assert codes(problems) == ["setting_wrong_value"]
    assert "LASTWORDS_BUDGET_S" in problems[0].message
    assert settings.budget_s == 3.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("product", ""),
        ("product", 3),
        ("product", "a\nb"),
        ("product", "half a pair \ud800"),
        ("version", "x" * 5000),
        ("url", "crashes.example.com"),
        ("url", "ftp://example.com/"),
        ("url", "http://exa mple.com/"),
        ("dump_dir", 3),
        ("dump_dir", b"bytes"),
        ("dump_dir", "a\0b"),
        ("enabled", "perhaps"),
        ("hang_timeout", -1),
        ("hang_timeout", float("nan")),
        ("attachments", 3),
        ("attachments", ["a", 3]),
        ("consent", "perhaps"),
        ("consent", ["always"]),
        ("chain_first", "sometimes"),
        ("extra_signals", "QUIT SEGV"),
        ("extra_signals", [3]),
        ("budget_s", True),
        ("budget_s", 10**400),
        ("retry_count", 2.5),
        ("retry_count", 0),
    ],
)
def test_a_wrong_value_is_replaced_by_the_default_and_said(key: str, value: object) -> None:
    settings, problems = load_settings({key: value}, {})
    assert codes(problems) == ["setting_wrong_value"]
    assert key in problems[0].message
    assert getattr(settings, key) == next(s.default for s in SETTINGS if s.key == key)


def test_an_unknown_setting_gets_the_nearest_name_as_hint() -> None:
    _, problems = load_settings({"dumpdir": "x"}, {})
    assert codes(problems) == ["setting_unknown"]
    assert "dump_dir" in problems[0].hint


def test_a_value_whose_methods_raise_is_only_a_wrong_value() -> None:
    class Hostile:
        def __fspath__(self) -> str:
            raise RuntimeError("no")

        def __repr__(self) -> str:
            raise RuntimeError("no")

    settings, problems = load_settings({"dump_dir": Hostile()}, {})
    assert codes(problems) == ["setting_wrong_value"]
    assert settings.dump_dir is None


def test_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings, _ = load_settings({"dump_dir": "spool", "attachments": ["a.log"]}, {})
    assert settings.dump_dir == str(tmp_path / "spool")
    assert settings.attachments == (str(tmp_path / "a.log"),)


@pytest.mark.parametrize("given", ["quit, SIGXCPU", "QUIT,QUIT,XCPU", ["SIGQUIT", "xcpu"]])
def test_signals_are_named_with_and_without_sig(given: object) -> None:
    settings, problems = load_settings({"extra_signals": given}, {})
    assert (settings.extra_signals, problems) == (("QUIT", "XCPU"), [])


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().product = "other"


def test_directories_follow_the_xdg_specification() -> None:
    assert state_dir({"XDG_STATE_HOME": "/s"}) == "/s/lastwords"
    assert config_dir({"XDG_CONFIG_HOME": "/c"}) == "/c/lastwords"
    assert cache_dir({"XDG_CACHE_HOME": "/k"}) == "/k/lastwords"
    assert cache_dir({}).endswith("/.cache/lastwords")
    assert state_dir({"XDG_STATE_HOME": "relative"}).endswith("/.local/state/lastwords")


def test_a_relative_home_still_gives_an_absolute_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "here")
    assert state_dir({}) == str(tmp_path / "here/.local/state/lastwords")


@given(st.text(max_size=200))
def test_no_product_name_leaves_the_state_directory(product: str) -> None:
    path = Path(default_dump_dir(product, {"XDG_STATE_HOME": "/s"}))
    assert path.parent == Path("/s/lastwords")
    assert path.name not in ("", ".", "..")


def test_every_row_of_the_table_is_an_attribute() -> None:
    declared = set(inspect.get_annotations(Settings))
    assert declared == {setting.key for setting in SETTINGS}


def test_the_named_parameters_of_install_are_settings() -> None:
    named = set(inspect.signature(install).parameters) - {"settings"}
    assert named <= {setting.key for setting in SETTINGS}


def test_every_setting_is_used_somewhere() -> None:
    used = set()
    for file in (REPOSITORY / "src/lastwords").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
    assert {setting.key for setting in SETTINGS} - used == set()


def test_the_reference_is_generated() -> None:
    written = (REPOSITORY / "docs/reference/settings.md").read_text("utf-8")
    assert written == settings_reference(), (
        "write it anew: python -c 'from lastwords.config import settings_reference as r; "
        'print(r(), end="")\' > docs/reference/settings.md'
    )
