from __future__ import annotations

import json
from pathlib import Path

import pytest

from lastwords.errors import SettingsError
from lastwords.upload.consent import consent_path, decide, read_consent, store_consent


def fail_if_asked() -> str:
    pytest.fail("the person was asked")


def test_by_default_nothing_is_allowed_where_nobody_can_be_asked(home: Path) -> None:
    decision = decide("p")
    assert not decision.is_allowed
    assert "ask" in decision.reason
    assert not Path(consent_path()).exists()


@pytest.mark.parametrize(
    ("answer", "is_allowed", "stored"),
    [
        ("once", True, None),
        ("always", True, "always"),
        ("no", False, None),
        ("never", False, "never"),
        ("gibberish", False, None),
    ],
)
def test_the_answer_counts_and_lasting_ones_are_stored(
    home: Path, answer: str, is_allowed: bool, stored: str | None
) -> None:
    assert decide("p", ask=lambda: answer).is_allowed == is_allowed
    assert read_consent("p") == stored
    assert read_consent("other") is None


@pytest.mark.parametrize("setting", [None, "ask", "always", "never"])
@pytest.mark.parametrize("stored", [None, "ask", "always", "never"])
def test_what_counts(home: Path, setting: str | None, stored: str | None) -> None:
    if stored is not None:
        store_consent(stored, "p")
    decided = "never" if stored == "never" else setting or stored or "ask"
    asked: list[int] = []
    decision = decide("p", setting=setting, ask=lambda: asked.append(1) or "once")
    assert decision.is_allowed == (decided != "never")
    assert bool(asked) == (decided == "ask")
    assert decide("p", setting=setting).is_allowed == (decided == "always")


@pytest.mark.parametrize("stored", ["ask", "always", "never"])
@pytest.mark.parametrize("passed", [True, False])
def test_a_decision_passed_with_the_call_beats_everything(
    home: Path, stored: str, passed: bool
) -> None:
    store_consent(stored)
    assert decide("p", passed=passed, setting="never", ask=fail_if_asked).is_allowed == passed


def test_never_for_all_beats_always_for_one(home: Path) -> None:
    store_consent("always", "p")
    store_consent("never")
    assert read_consent("p") == "never"
    assert not decide("p", setting="always").is_allowed


def test_a_decision_for_one_product_is_not_one_for_another(home: Path) -> None:
    store_consent("always", "p")
    assert decide("p").is_allowed
    assert not decide("q").is_allowed


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_a_damaged_file_counts_as_never(home: Path, text: str) -> None:
    path = Path(consent_path())
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert not decide("p", setting="always", ask=fail_if_asked).is_allowed
    store_consent("always", "p")
    assert decide("p").is_allowed


def test_foreign_values_in_the_file_count_as_nothing(home: Path) -> None:
    path = Path(consent_path())
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"default": ["always"], "products": {"p": 1, "q": "always"}}))
    assert (read_consent("p"), read_consent("q"), read_consent()) == (None, "always", None)


def test_a_wrong_choice_is_refused(home: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        store_consent("perhaps")
    assert caught.value.code == "setting_wrong_value"


def test_a_directory_that_cannot_be_written_is_said(home: Path) -> None:
    (home / "config").write_text("in the way")
    with pytest.raises(SettingsError) as caught:
        store_consent("always")
    assert caught.value.code == "consent_not_stored"
    assert str(home / "config") in caught.value.message
