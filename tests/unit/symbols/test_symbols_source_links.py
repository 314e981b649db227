"""Addresses of source files, as PDBs name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.symbols.places import default_cache
from lastwords.symbols.source_links import SourceLinks
from lastwords.symbols.source_path import SourcePath, parse_source_path

MOZILLA = """\
SRCSRV: ini ------------------------------------------------
VERSION=2
INDEXVERSION=2
VERCTRL=http
SRCSRV: variables ------------------------------------------
HGSERVER=https://hg.mozilla.org/mozilla-central
SRCSRVVERCTRL=http
HTTP_EXTRACT_TARGET=%hgserver%/raw-file/%var3%/%var2%
SRCSRVTRG=%http_extract_target%
SRCSRV: source files ---------------------------------------
/builds/gecko/tests/Write.cpp*tests/Write.cpp*1706d4d5
SRCSRV: end ------------------------------------------------
"""
PERFORCE = """\
SRCSRV: ini ------------------------------------------------
VERSION=1
SRCSRV: variables ------------------------------------------
P4_EXTRACT_CMD=p4.exe -p %fnvar%(%var2%) print -o %srcsrvtrg% -q "//%var3%#%var4%"
P4_EXTRACT_TARGET=%targ%\\%var2%\\%fnbksl%(%var3%)\\%var4%\\%fnfile%(%var1%)
SRCSRVTRG=%P4_EXTRACT_TARGET%
SRCSRVCMD=%P4_EXTRACT_CMD%
SRCSRV: source files ---------------------------------------
c:\\src\\a.cc*P4_SERVER*depot/src/a.cc*12
SRCSRV: end ------------------------------------------------
"""


def link(**documents: str) -> SourceLinks:
    return SourceLinks([json.dumps({"documents": documents})])


def test_source_link_replaces_the_star_and_takes_the_longest_prefix() -> None:
    links = link(**{
        "C:\\src\\*": "https://host/one/*",
        "C:\\src\\sub\\*": "https://host/two/*?raw=1",
        "C:\\src\\made.h": "https://host/made",
    })  # fmt: skip
    assert links.url_of("c:\\SRC\\a b\\c.cpp") == "https://host/one/a%20b/c.cpp"
    assert links.url_of("C:/src/sub/x.h") == "https://host/two/x.h?raw=1"
    assert links.url_of("C:\\src\\made.h") == "https://host/made"
    assert links.url_of("D:\\src\\a.cpp") is None


def test_a_source_server_gives_an_address_but_no_command() -> None:
    links = SourceLinks(servers=[MOZILLA, PERFORCE])
    url = "https://hg.mozilla.org/mozilla-central/raw-file/1706d4d5/tests/Write.cpp"
    assert links.url_of("/builds/gecko/tests/Write.cpp") == url
    assert links.url_of("\\builds\\Gecko\\tests\\write.cpp") == url
    assert links.url_of("c:\\src\\a.cc") is None
    assert links.url_of("other.cc") is None


def test_functions_of_source_servers_are_known() -> None:
    text = MOZILLA.replace(
        "%hgserver%/raw-file/%var3%/%var2%", "%fnvar%(HGSERVER)/%fnfile%(%var1%)"
    )
    found = SourceLinks(servers=[text]).url_of("/builds/gecko/tests/Write.cpp")
    assert found == "https://hg.mozilla.org/mozilla-central/Write.cpp"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"documents": []}',
        '{"documents": {"C:\\\\*": 3}}',
        "[" * 100_000,
        '{"documents": {"*": "file:///etc/*"}}',
    ],
)
def test_what_makes_no_sense_gives_nothing(text: str) -> None:
    assert SourceLinks([text], [text]).url_of("C:\\a.c") is None


def test_variables_that_lead_to_each_other_end() -> None:
    text = MOZILLA.replace("HGSERVER=https://", "HGSERVER=%hgserver%%hgserver%https://")
    assert SourceLinks(servers=[text]).url_of("/builds/gecko/tests/Write.cpp") is None


@given(st.text(), st.text())
def test_any_text_is_survived(text: str, file: str) -> None:
    url = SourceLinks([text], [MOZILLA + text]).url_of(file)
    assert url is None or url.lower().startswith("http")


def test_a_source_path_holds_folders_and_consent(tmp_path: Path) -> None:
    assert parse_source_path([f"{tmp_path};srv*"]) == SourcePath(
        folders=(tmp_path,), downloads=default_cache()
    )
    assert parse_source_path(["a;b", f"SRV*{tmp_path}"]) == SourcePath(
        folders=(Path("a"), Path("b")), downloads=tmp_path
    )
    odd = tmp_path / "a;b"
    odd.mkdir()
    assert parse_source_path([str(odd)]).folders == (odd,)
