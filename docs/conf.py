"""The site: `make docs` builds it into docs/_build/html and follows every link."""

import importlib.util
import io
import re
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
sys.path[:0] = [str(folder) for folder in (HERE, HERE.parent / "tests", HERE.parent / "tests" / "check")]
import catalogue_pages
import check_pages
import errata_page
import functions_page
import guidance_tables
import inverse_digits_tables
import inverse_tables
import learning_figures
import matching_figures
import names_table
import peers_tables
import sampling_tables
import speed_tables
import variances_tables
from sphinx.util.fileutil import copy_asset

import tinydiff

project, author, copyright = "tinydiff", "The tinydiff authors", "The tinydiff authors"
release = tinydiff.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "sphinx.ext.viewcode", "sphinx.ext.mathjax"]
PIECES = "guidance", "inverse", "learning", "matching", "peers", "sampling", "speed", "variances"
exclude_patterns = ["_build", *PIECES]  # pieces that pages include
nitpicky = True  # a link that leads nowhere is an error
nitpick_ignore = [
    ("py:class", "collections.abc.Callable"),
    ("py:class", "collections.abc.Iterable"),
    ("py:class", "collections.abc.Iterator"),
    ("py:class", "io.StringIO"),
]  # Python's own, which are not here

REPOSITORY = "github.com/tinydiff/tinydiff"
html_theme = "furo"
html_title = "tinydiff"
html_theme_options = {
    "top_of_page_buttons": [],
    "footer_icons": [{"name": REPOSITORY, "html": REPOSITORY, "url": f"https://{REPOSITORY}", "class": ""}],
}
html_static_path = ["static"]
templates_path = ["templates"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(HERE / "static" / "search.js")
KEYWORDS = {
    "index": ["install"],
    "guidance": ["guidance", "CFG", "classifier-free guidance"],
    "howto/your_data": ["my own data", "own data", "my data", "my own pictures", "CSV"],
}
"""What readers may ask for in words that are not in a page's title."""
html_copy_source = False
html_sidebars = {"_modules/**": ["sidebar/brand.html", "sidebar/search.html"]}  # the tree is a third of these pages
html_favicon = "static/favicon.svg"
myst_enable_extensions = ["dollarmath", "fieldlist"]
nb_execution_mode = "off"

MATHJAX = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
USED = "tex-chtml.js", "output/chtml/fonts/woff-v2"
"""What the pages load of its 24 MB, so that they show formulas without a connection: a bundle, and its fonts."""
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {
    "options": {"enableMenu": False},  # it would load more, and stop Tab at every formula
    "tex": {"packages": {"[-]": ["autoload", "require"]}},  # so would they: what the bundle lacks shows in red
}

viewcode_follow_imported_members = False  # or it shows the source of typing
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the sections of numpydoc give them
autodoc_default_options = {"members": True, "special-members": "__call__"}


numpydoc_show_class_members = False  # autodoc shows them
numpydoc_validation_checks: set[str] = set()


def course(folder: Path) -> None:
    """The notebooks, executed as they are in the repository, with the picture that they link to."""
    folder.mkdir(exist_ok=True)
    found = [*sorted(NOTEBOOKS.glob("*.ipynb")), NOTEBOOKS / "colab.svg"]
    for old in {path.name for path in folder.iterdir()} - {path.name for path in found}:
        (folder / old).unlink()
    for path in found:
        catalogue_pages.put(folder / path.name, path.read_text(encoding="utf-8"))


def as_written(app, what, name, obj, options, lines: list[str]) -> None:
    """Show the indented lines of a docstring, equations and tables, as they stand, and no sign as mark-up."""
    underline = next((i for i, line in enumerate(lines) if line.startswith("---")), len(lines) + 1)
    out, displayed = [], False
    for line in lines[: underline - 1]:
        if line.startswith("    ") and not displayed:
            announced = next((before for before in reversed(out) if before), "").endswith("::")
            out += [""] if announced else ["", "::", ""]
        elif displayed and line and not line.startswith("    "):
            out.append("")
        displayed = line.startswith("    ") or (displayed and not line)
        out.append(line if displayed else plain(line))
    examples = next((i for i, line in enumerate(lines) if line == "Examples"), len(lines))
    lines[:] = [*out, *map(plain, lines[underline - 1 : examples]), *lines[examples:]]


def plain(line: str) -> str:
    """A line in which *, | and a trailing _ outside of backquotes are themselves."""
    pieces = re.split("(``.*?``|`.*?`)", line)
    return "".join(text if text[:1] == "`" else re.sub(r"([*|]|_(?!\w))", r"\\\1", text) for text in pieces)


def prepare(app, page: str, source: list[str]) -> None:
    """Give a page the words by which the search must find it, and that of the library its table."""
    if page in KEYWORDS:
        words = ", ".join(f"! {word}" for word in KEYWORDS[page])
        source[0] = re.sub("^# ", f"```{{index}} {words}\n```\n\n# ", source[0], count=1, flags=re.M)
    if page == "api":
        source[0] = source[0].replace("<!-- names -->", names_table.table())


def scripts(app, page: str, template: str, context: dict, tree) -> None:
    """Give the first page its animation."""
    if page == "index":
        app.add_js_file("ring.js")


def mathjax(app, error: Exception | None) -> None:
    """Copy what the pages use of MathJax."""
    for name in () if error else USED:
        copy_asset(MATHJAX / name, app.outdir / "_static" / "mathjax" / (name if "." not in name else ""))


def repacked(app, error) -> None:
    """Pack the pictures of the site as well as PNG can, pixel for pixel, without an alpha that is never used."""
    for path in (Path(app.outdir) / "_images").glob("*.png"):
        with Image.open(path) as picture:
            opaque = picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255)
            packed = io.BytesIO()
            (picture.convert("RGB") if opaque else picture).save(packed, "PNG", optimize=True)
        if len(packed.getvalue()) < path.stat().st_size:
            path.write_bytes(packed.getvalue())


def setup(app) -> None:
    """Write the pages that come from the tests, the measurements and the notebooks, and show docstrings as written."""
    catalogue_pages.write(HERE / "identities")
    check_pages.write(HERE / "check")
    guidance_tables.write(HERE / "guidance")
    learning_figures.write(HERE / "learning")
    inverse_tables.write(HERE / "inverse")
    inverse_digits_tables.write(HERE / "inverse")
    peers_tables.write(HERE / "peers")
    matching_figures.write(HERE / "matching")
    sampling_tables.write(HERE / "sampling")
    speed_tables.write(HERE / "speed")
    variances_tables.write(HERE / "variances")
    errata_page.write(HERE / "errata.md")
    functions_page.write(HERE / "functions.md")
    course(HERE / "course")
    app.connect("build-finished", repacked)
    app.connect("autodoc-process-docstring", as_written, priority=400)  # before numpydoc, at 500
    app.connect("source-read", prepare)
    app.connect("html-page-context", scripts)
    app.connect("build-finished", mathjax)
