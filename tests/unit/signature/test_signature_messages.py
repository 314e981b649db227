"""What changes in messages is replaced; what tells failures apart stays."""

from __future__ import annotations

import pytest

from lastwords.signature.messages import parameterised


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("job 17 failed after 3.5 s", "job <number> failed after <number> s"),
        ("no such file: /home/alice/data/x.csv", "no such file: <path>"),
        ("cannot open C:\\Users\\alice\\x.csv", "cannot open <path>"),
        ("bad pointer 0x00007f1234567890", "bad pointer <hex>"),
        ("commit 3f2a9bc0d1 is gone", "commit <hex> is gone"),
        ("user alice@example.org is unknown", "user <email> is unknown"),
        ("GET https://x.test/a?b=1 timed out", "GET <url> timed out"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id <uuid>"),
        ("at 2026-11-20T18:00:00.5Z", "at <date>"),
        ("peer 10.0.0.7:8080 closed", "peer <ip> closed"),
        ("could not convert string to float: 'abc'", "could not convert string to float: <quoted>"),
        ("int32 and utf8 stay", "int32 and utf8 stay"),
        ("decade", "decade"),
        ("", ""),
    ],
)
def test_parameters_are_replaced(message, expected):
    assert parameterised(message) == expected
