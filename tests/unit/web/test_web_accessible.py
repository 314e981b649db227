"""Pages for everybody: contrast, structure, names of controls (WCAG 2.2 AA)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

CSS = (resources.files("lastwords.web") / "static" / "lastwords.css").read_text("utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
    for part in CSS.split("@media (prefers-color-scheme: dark)")
)
PAIRS = [
    *[("text", ground) for ground in ("page", "raised", "python-tint", "warn-tint", "bad-tint")],
    *[("muted", ground) for ground in ("page", "raised", "python-tint")],
    *[("link", ground) for ground in ("page", "raised", "warn-tint")],
    *[(name, f"{name}-tint") for name in ("python", "native", "good", "bad", "warn", "calm")],
    ("native", "page"),
    ("bad", "page"),
    ("page", "text"),
]
VOID = {"meta", "link", "input", "br", "hr", "img"}


def luminance(colour):
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_has_enough_contrast(theme, ink, ground):
    assert contrast(theme[ink], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_focus_ring_is_visible(theme):
    assert contrast(theme["focus"], theme["page"]) >= 3


def test_both_themes_have_the_same_colours():
    assert set(LIGHT) == set(DARK)
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) - {"mono"} <= set(LIGHT)


class Structure(HTMLParser):
    """Checks that elements are closed in order, and collects what must have a name."""

    def __init__(self, html):
        super().__init__()
        self.open = []
        self.problems = []
        self.headings = []
        self.feed(html)
        self.problems += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        if tag == "th" and names.get("scope") not in {"col", "row"}:
            self.problems.append("a heading of a table without scope")
        if tag == "nav" and not names.get("aria-label"):
            self.problems.append("a navigation without a name")
        if tag == "svg" and not (names.get("role") == "img" and names.get("aria-label")):
            self.problems.append("a drawing without words")
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "li" and self.open[-1] not in {"ol", "ul"}:
            self.problems.append(f"an item in <{self.open[-1]}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()} closes something else")


def test_broken_structure_is_found_by_this_test():
    assert Structure("<main><p></main>").problems
    assert Structure("<table><th>x</th></table>").problems
    assert not Structure("<main><p>x</p></main>").problems


def test_pages_have_a_sound_structure(client, reports):
    report_id, issue_id = reports.native()
    raised_id, _ = reports.exception()
    waiting = reports.receive()
    for path in (
        "/",
        "/?status=resolved",
        "/reports",
        f"/issues/{issue_id}",
        f"/reports/{report_id}",
        f"/reports/{raised_id}",
        f"/reports/{waiting}",
        "/nowhere",
    ):
        found = Structure(client.get(path).text)
        assert found.problems == [], path
        assert found.headings[0] == 1, path
        steps = zip(found.headings, found.headings[1:], strict=False)
        assert all(after - before <= 1 for before, after in steps), path
