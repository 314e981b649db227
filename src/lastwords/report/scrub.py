"""Takes secrets out of text: pure functions, run before spooling and again on the server.

What is recognised: values whose key names a secret (`password`, `api_key`, `Authorization`, …),
`key=value` and `key: value` pairs and `--key value` options inside text, user names and passwords
in addresses, secret query parameters, bearer and basic credentials, JSON web tokens, well-known
token prefixes, private keys in PEM form, and card numbers (13 to 19 digits that pass the Luhn
check). A replaced piece reads `[scrubbed]`, so that a reader sees that something was there.

What is not: a secret that looks like a word and stands alone. Applications do not annotate
secrets; this is the net below, not the floor.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

__all__ = [
    "SCRUBBED",
    "is_secret_name",
    "scrub_arguments",
    "scrub_environment",
    "scrub_text",
    "scrub_value",
]

SCRUBBED = "[scrubbed]"
"""What stands where a secret stood."""

_SECRET_WORDS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey",
    "privatekey", "authorization", "credential", "cookie", "sessionid", "csrf", "xsrf", "bearer",
    "signature", "cardnumber", "cvv", "connectionstring",
)  # fmt: skip
_HARMLESS_NAMES = frozenset(
    ("tokens", "tokencount", "maxtokens", "tokenizer", "tokentype", "cookiecount", "issuesignature")
)
_SECRET_NAMES = frozenset(("auth", "pw", "pass", "pin", "cvc", "sid", "sig", "dsn"))

_NAME = r"[\w.\-]{1,128}"
_VALUE = r"(?:\"(?:[^\"\\]|\\.){0,4096}\"|'(?:[^'\\]|\\.){0,4096}'|[^\s,;&'\"}\])>]+)"

# What one of must be in the text (in lower case) for the expression to be worth running; the
# expression; what is put in place of what it finds.
_SOURCES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    # PEM blocks first: what is inside looks like many other things
    (
        ("-----begin",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        SCRUBBED,
    ),
    # scheme://user:password@host
    (
        ("://",),
        r"\b([a-z][a-z0-9+.\-]{0,30}://)[^\s/?#'\"<>]{0,512}@",
        r"\1" + SCRUBBED + "@",
    ),
    # Cookie and Authorization headers go on to the end of the line
    (
        ("cookie", "authorization"),
        r"\b((?:set-)?cookie|(?:proxy-)?authorization)(['\"]?\s*[:=]\s*)(?!\[scrubbed\])[^\r\n]+",
        r"\1\2" + SCRUBBED,
    ),
    (
        ("bearer", "basic", "digest"),
        r"\b(bearer|basic|digest)(\s+)[\w.~+/=\-]{6,}",
        r"\1\2" + SCRUBBED,
    ),
    # JSON web tokens and the prefixes that issuers chose so that scanners find them
    (("eyj",), r"\beyJ[\w\-]{8,2048}\.[\w\-]{4,2048}\.[\w\-]*", SCRUBBED),
    (
        ("gh", "glpat-", "xox", "akia", "asia", "aiza", "sk-", "k_", "pypi-", "npm_", "hf_"),
        (r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}|xox[abeoprs]-[\w\-]{10,}"
        r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w\-]{30,}|sk-[\w\-]{16,}|[sr]k_(?:live|test)_\w{10,}"
        r"|pypi-[\w\-]{16,}|npm_\w{30,}|hf_\w{20,})"),
        SCRUBBED,
    ),
)  # fmt: skip
# name=value, name: value, "name": "value", name => value; and --name value
_PAIR = rf"(?<![\w.\-])({_NAME})(['\"]?\s{{0,8}}(?:=>|[:=])\s{{0,8}})"
_OPTION = rf"(?<![\w.\-])(--?{_NAME})(\s{{1,8}})(?!-)"
_CARD = r"(?<![\d.])\d(?:[ \-]?\d){12,18}(?![\d.]?\d)"


class _Patterns:
    """The compiled patterns; made when first needed, because `re` costs 5 ms."""

    def __init__(self) -> None:
        import re

        flags = re.IGNORECASE | re.DOTALL
        self.replacements = [
            (needles, re.compile(source, flags), text) for needles, source, text in _SOURCES
        ]
        self.pair = re.compile(_PAIR, flags)
        self.option = re.compile(_OPTION, flags)
        self.value = re.compile(_VALUE, flags)
        self.card = re.compile(_CARD)


_patterns: list[_Patterns] = []
_known_names: dict[str, bool] = {}
_MAX_KNOWN_NAMES = 512


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def is_secret_name(name: str) -> bool:
    """Whether a key, header, option or variable of that name holds a secret.

    Answers about the last few hundred names are remembered: annotations are set again and again.
    """
    known = _known_names.get(name)
    if known is None:
        plain = _plain(name)
        known = plain in _SECRET_NAMES or any(word in plain for word in _SECRET_WORDS)
        known = known and plain not in _HARMLESS_NAMES
        if len(_known_names) >= _MAX_KNOWN_NAMES:
            _known_names.clear()
        _known_names[name] = known
    return known


def scrub_text(text: str) -> str:
    """Replace every recognised secret in a text (a message, a command line, a log line).

    Scrubbing twice changes nothing more. The cost is linear in the length of the text.
    """
    if not _may_hold_secret(text):
        return text
    if not _patterns:
        _patterns.append(_Patterns())
    patterns = _patterns[0]
    lowered = text.lower()
    for needles, pattern, replacement in patterns.replacements:
        if any(needle in lowered for needle in needles):
            text = pattern.sub(replacement, text)
    if ":" in text or "=" in text:
        text = _scrub_pairs(text, patterns.pair, patterns.value)
    if "-" in text:
        text = _scrub_pairs(text, patterns.option, patterns.value)
    return patterns.card.sub(_scrub_card, text)


def _may_hold_secret(text: str) -> bool:
    """Cheap test without `re`: most annotations are short words and numbers."""
    if len(text) >= 13:
        return True
    return len(text) >= 6 and any(char in text for char in ":=@ ")


def _scrub_pairs(text: str, head: re.Pattern[str], value: re.Pattern[str]) -> str:
    """Scrub what follows `name=`; the value of a harmless name is searched like other text."""
    parts = []
    position = 0
    while found := head.search(text, position):
        parts.append(text[position : found.end()])
        position = found.end()
        if not _is_secret_pair(*found.groups()) or text.startswith(SCRUBBED, position):
            continue
        if secret := value.match(text, position):
            quote = secret.group()[0] if secret.group()[0] in "'\"" else ""
            parts.append(f"{quote}{SCRUBBED}{quote}")
            position = secret.end()
    parts.append(text[position:])
    return "".join(parts)


def _is_secret_pair(name: str, separator: str) -> bool:
    plain = _plain(name)
    # In prose "signature: f(int)" or "pin: 4" is no secret; "sig=…" in an address is.
    if "=" not in separator and (plain in _SECRET_NAMES or plain.endswith("signature")):
        return False
    return is_secret_name(name)


def _scrub_card(match: re.Match[str]) -> str:
    digits = [int(char) for char in match.group() if char.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    is_card = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1
    return SCRUBBED if is_card else match.group()


def scrub_value(
    key: str,
    value: str | float | bool,  # noqa: FBT001  (a value)
) -> str | int | float | bool:
    """Scrub the value of an annotation or of a similar pair.

    Text is replaced as a whole when the key names a secret, and searched otherwise. Numbers are
    replaced only under such a key; booleans never.
    """
    if isinstance(value, bool):
        return value
    if is_secret_name(key):
        return SCRUBBED if value != "" else value
    return scrub_text(value) if isinstance(value, str) else value


def scrub_arguments(arguments: Sequence[str]) -> list[str]:
    """Scrub a command line given as a list: `--token X`, `--token=X`, addresses and the like."""
    result = []
    is_value_secret = False
    for argument in arguments:
        if is_value_secret and not argument.startswith("-"):
            result.append(SCRUBBED)
            is_value_secret = False
            continue
        name, equals, _ = argument.partition("=")
        is_option = name.startswith("-") and is_secret_name(name)
        is_value_secret = is_option and not equals
        result.append(f"{name}={SCRUBBED}" if is_option and equals else scrub_text(argument))
    return result


def scrub_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Scrub environment variables: secret names lose their value, other values are searched."""
    return {name: str(scrub_value(name, value)) for name, value in environment.items()}
