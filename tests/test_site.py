"""The tools that make the site: links are followed, and every name has a place."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
links = pytest.importorskip("links", reason="docs/links.py is in the repository")
names_table = pytest.importorskip("names_table", reason="docs/names_table.py is in the repository")


def wrong_on(folder, page, name="index.html"):
    (folder / name).write_text(page, encoding="utf-8")
    return links.dead(folder)[2]


def test_links_and_anchors_are_followed(tmp_path):
    (tmp_path / "other.html").write_text('<h1 id="there">…</h1>', encoding="utf-8")
    page = '<a href="other.html#there"></a><a href="other.html#not"></a><a href="none.html"></a><img src="none.png">'
    expected = {f"index.html → {link}" for link in ("other.html#not", "none.html", "none.png")}
    assert set(wrong_on(tmp_path, page)) == expected


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://elsewhere.org/a.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.org/a.css">',
        '<img src="https://elsewhere.org/badge.svg">',
        '<img srcset="https://elsewhere.org/a.png 2x">',
        '<p style="background: url(https://elsewhere.org/a.png)"></p>',
        "<style>@import 'https://elsewhere.org/a.css';</style>",
    ],
)
def test_nothing_is_loaded_from_another_host(tmp_path, tag):
    assert len(wrong_on(tmp_path, tag)) == 1


def test_a_paper_may_be_linked(tmp_path):
    assert wrong_on(tmp_path, '<a href="https://arxiv.org/abs/2006.11239">DDPM</a>') == []


def test_style_sheets_are_read_too(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://elsewhere.org/a.woff2') }", encoding="utf-8")
    assert wrong_on(tmp_path, "<p></p>") == ["a.css loads https://elsewhere.org/a.woff2"]


def test_every_exported_name_has_a_place_in_the_reference():
    places = names_table.places()  # which says which has none
    assert set(places) == set(td.__all__)
    assert names_table.table().count("\n") == len(places) + 1


def test_the_first_page_says_how_to_install_and_has_the_four_lines():
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    assert "```text\npip install tinydiff\n```" in page
    shown = page.split("```python\n")[1].split("```")[0].splitlines()
    in_docstring = [line.strip() for line in td.__doc__.split("import tinydiff as td", 1)[1].splitlines()]
    lines = ["import tinydiff as td", *(line for line in in_docstring[1:] if line)][:5]
    code = [line.partition("#")[0].strip() for line in lines]
    assert [line.partition("#")[0].strip() for line in shown] == code


def test_the_ring_of_the_first_page_is_ring8():
    script = (DOCS / "static" / "ring.js").read_text(encoding="utf-8")
    radius, std = map(float, re.search(r"RADIUS = ([\d.]+), VARIANCE = ([\d.]+) \*\* 2", script).groups())
    ring = td.toys.ring8()
    np.testing.assert_allclose(np.linalg.norm(ring.means, axis=1), radius, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(ring.variances), std, atol=1e-5)
