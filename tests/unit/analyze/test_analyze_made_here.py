from __future__ import annotations

import pytest

from lastwords.analyze.made_here import made_here
from lastwords.report.analysis import Analysis, Lastwords, Module, ModuleSymbols
from lastwords.report.dump_facts import DumpFacts


def analysis(
    path: str | None, created: str | None = "1970-01-01T00:01:00Z", status: str = "loaded"
) -> Analysis:
    symbols = ModuleSymbols(status=status, kind="dwarf", path=path)
    module = Module(filename="app", code_file="/opt/app", symbols=symbols)
    dump = DumpFacts(created=created)
    return Analysis(modules=(module,), lastwords=Lastwords(dump=dump))


def test_a_module_that_was_found_where_the_dump_has_it_says_so() -> None:
    assert made_here(analysis("/opt/app")) == 61


@pytest.mark.parametrize(
    "other",
    [
        analysis("/symbols/app.debug"),
        analysis(None),
        analysis("/opt/app", status="mismatched"),
        analysis("/opt/app", created=None),
        analysis("/opt/app", created="yesterday"),
        Analysis(),
    ],
)
def test_anything_else_is_elsewhere(other: Analysis) -> None:
    assert made_here(other) is None
