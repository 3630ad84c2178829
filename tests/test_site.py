"""The tools that make the site: mathematics in docstrings becomes LaTeX, and links are followed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import links
import mathematics
from mathematics import Unclear, latex


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("x_t = α x_0 + σ ε", r"x_{t} = \alpha x_{0} + \sigma \varepsilon"),
        ("√(1 − ᾱ_t)", r"\sqrt{1 - \bar{\alpha}_{t}}"),
        ("(x − α x̂_0)/σ", r"(x - \alpha \hat{x}_{0})/\sigma"),
        ("q(x_s | x_t)", r"q(x_{s} \mid x_{t})"),
        ("½ g² ∇ ln q_t(x)", r"\tfrac12 g^{2} \nabla \ln q_{t}(x)"),
        ("σ_s²/σ_t²", r"\sigma _{s}^{2}/\sigma _{t}^{2}"),
        ("∫_0^t β(r) dr", r"\int _{0}^{t} \beta (r) dr"),
        ("e^{−h}", r"e^{- h}"),
        ("β̃ = (1 − ᾱ_s)/(1 − ᾱ_t) β", r"\tilde{\beta} = (1 - \bar{\alpha}_{s})/(1 - \bar{\alpha}_{t}) \beta"),
    ],
)
def test_mathematics_is_translated(written, expected):
    assert latex(written) == expected


def test_what_is_not_known_is_not_guessed():
    with pytest.raises(Unclear):
        latex("x ⊗ y")


def test_mathematics_is_told_from_words():
    found = list(mathematics.pieces("x_t = α x_0 + σ ε: any number of steps, for x0 (B, D) [DDPM 4]."))
    assert [text for kind, text in found if kind == "math"] == ["x_t = α x_0 + σ ε", "(B, D)"]
    assert [text for kind, text in found if kind == "code"] == ["x0"]
    assert [text for kind, text in found if kind == "cite"] == ["[DDPM 4]"]


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
