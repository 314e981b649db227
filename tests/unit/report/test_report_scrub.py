from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.report.scrub import (
    SCRUBBED,
    is_secret_name,
    scrub_arguments,
    scrub_environment,
    scrub_text,
    scrub_value,
)

SECRET = st.text(string.ascii_letters + string.digits, min_size=6, max_size=40).map(
    lambda text: "Zq7" + text
)
PROSE = st.text(st.characters(codec="utf-8"), max_size=60)
NAMES = st.sampled_from(
    ["password", "DB_PASSWORD", "api_key", "apiKey", "x-api-key", "access_token", "client_secret",
     "AWS_SECRET_ACCESS_KEY", "sessionid", "csrf_token", "private_key", "connection-string"]
)  # fmt: skip


@given(NAMES, SECRET, PROSE, PROSE, st.sampled_from(["=", ": ", ":", " = ", " => "]))
def test_a_secret_behind_its_name_is_gone(
    name: str, secret: str, before: str, after: str, separator: str
) -> None:
    text = scrub_text(f"{before}\n{name}{separator}{secret}\n{after}")
    assert secret not in text


@given(NAMES, SECRET, st.sampled_from("'\""))
def test_a_secret_in_a_printed_dictionary_is_gone(name: str, secret: str, quote: str) -> None:
    text = scrub_text(f"{{{quote}{name}{quote}: {quote}{secret} {secret}{quote}, 'n': 1}}")
    assert secret not in text
    assert "'n': 1" in text


@given(SECRET, SECRET)
def test_user_and_password_in_an_address_are_gone(user: str, secret: str) -> None:
    text = scrub_text(f"cannot reach postgres://{user}:{secret}@db.example.com:5432/main today")
    assert secret not in text
    assert user not in text
    assert "@db.example.com:5432/main today" in text


@given(SECRET)
def test_secret_query_parameters_are_gone(secret: str) -> None:
    text = scrub_text(f"GET https://h/x?n=1&access_token={secret}&sig={secret}&m=2 failed")
    assert secret not in text
    assert "n=1" in text
    assert "m=2" in text


@given(SECRET, st.sampled_from(["Bearer", "bearer", "Basic", "Digest"]))
def test_credentials_in_headers_are_gone(secret: str, scheme: str) -> None:
    assert secret not in scrub_text(f"Authorization: {scheme} {secret}.{secret}\nHost: h")
    assert secret not in scrub_text(f"sent {scheme} {secret} to the server")
    assert "Host: h" in scrub_text(f"Cookie: a={secret}; b={secret}\nHost: h")


@given(SECRET, NAMES)
def test_secrets_on_a_command_line_are_gone(secret: str, name: str) -> None:
    option = "--" + name
    for arguments in ([option, secret, "x"], [f"{option}={secret}", "x"]):
        scrubbed = scrub_arguments(["run", *arguments])
        assert secret not in " ".join(scrubbed)
        assert scrubbed[0] == "run"
        assert scrubbed[-1] == "x"
        assert secret not in scrub_text(" ".join(["run", *arguments]))


@given(SECRET, NAMES)
def test_secrets_in_the_environment_are_gone(secret: str, name: str) -> None:
    environment = {name: secret, "DATABASE": f"mysql://u:{secret}@h/d", "PATH": "/usr/bin:/bin"}
    scrubbed = scrub_environment(environment)
    assert secret not in str(scrubbed)
    assert scrubbed["PATH"] == "/usr/bin:/bin"


def _with_check_digit(digits: list[int]) -> str:
    for check in range(10):
        number = [*digits, check]
        doubled = [sum(divmod(2 * d, 10)) for d in number[-2::-2]]
        if (sum(number[-1::-2]) + sum(doubled)) % 10 == 0:
            return "".join(map(str, number))
    raise AssertionError


@given(
    st.lists(st.integers(0, 9), min_size=12, max_size=18).filter(lambda d: len(set(d)) > 2),
    st.sampled_from(["", " ", "-"]),
)
def test_card_numbers_are_gone(digits: list[int], separator: str) -> None:
    number = _with_check_digit(digits)
    shown = separator.join(number[i : i + 4] for i in range(0, len(number), 4))
    assert shown not in scrub_text(f"card {shown} declined")


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefghij",
        "sk-abcdefghijklmnop0123",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEow and then it was cut",
    ],
)
def test_well_known_forms_are_gone(secret: str) -> None:
    assert secret not in scrub_text(f"value {secret} here")
    assert "MIIEow" not in scrub_text(secret)


@pytest.mark.parametrize(
    "text",
    [
        "list index out of range",
        "unsupported operand type(s) for +: 'int' and 'str'",
        "KeyError: 'token'",
        "bad signature: f(int) -> str",
        "max_tokens=512",
        "at 2026-11-20T18:13:00.123Z, 1700000000.123456789 s",
        "0x00007f1234567890 in libfoo.so.1",
        "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9",
        "https://docs.example.com/guide?page=2#top",
        "git@github.com:owner/repository",
        "/home/user/file.py:12",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert scrub_text(text) == text


@given(st.one_of(PROSE, st.tuples(NAMES, SECRET).map("=".join), SECRET))
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub_text(text)
    assert scrub_text(once) == once


@pytest.mark.parametrize(
    "piece",
    ["a://", "password", 'password="', "eyJ-", "a-b.", "--a ", "a:", 'token="a\\', "1 ", "Bearer "],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    scrub_text(text)
    assert time.process_time() - started < 2.0


def test_values_under_a_secret_name_are_gone_whatever_their_type() -> None:
    assert scrub_value("password", "x") == SCRUBBED
    assert scrub_value("pin", 1234) == SCRUBBED
    assert scrub_value("has_token", True) is True
    assert scrub_value("scene", "town.usd") == "town.usd"
    assert scrub_value("frames", 12) == 12


@pytest.mark.parametrize("name", ["password", "Api-Key", "AUTH", "set-cookie", "jwt_token", "dsn"])
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["scene", "max_tokens", "author", "passenger_count", "keyboard"])
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)
