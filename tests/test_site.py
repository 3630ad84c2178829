"""The tools that make the site: links are followed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
links = pytest.importorskip("links", reason="docs/links.py is in the repository")


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
