"""The site: `make docs` builds it into docs/_build/html and follows every link."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(folder) for folder in (HERE, HERE.parent / "tests", HERE.parent / "tests" / "check")]
import catalogue_pages
import check_pages
import learning_figures

import tinydiff

project, author, copyright = "tinydiff", "The tinydiff authors", "The tinydiff authors"
release = tinydiff.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # the site reads without a connection
]
exclude_patterns = ["_build", "learning"]  # pieces that pages include
nitpicky = True  # a link that leads nowhere is an error
nitpick_ignore = [
    ("py:class", "collections.abc.Callable"),
    ("py:class", "io.StringIO"),
]  # Python's own, which are not here

html_theme = "furo"
html_title = "tinydiff"
html_static_path = ["static"]
html_css_files = ["catalogue.css"]
myst_enable_extensions = ["dollarmath", "fieldlist"]
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signatures are plain, the docstrings give the shapes
autodoc_default_options = {"members": True, "special-members": "__call__", "show-inheritance": False}


def plain(app, what, name, obj, options, lines) -> None:
    """Docstrings are plain text: indented lines are equations or tables, `names` are code, and no * is a mark-up."""
    out = []
    for line in lines:
        indented = line.startswith("    ")
        if indented and not (out and (out[-1].startswith("    ") or out[-1] == "::")):
            out += ["", "::", ""]
        if line and not indented:
            if out and out[-1].startswith("    "):
                out.append("")
            escaped = re.sub(r"([*|_\\])", r"\\\1", re.sub(r"`+([^`]+)`+", "\0\\1\0", line))
            line = re.sub("\0([^\0]+)\0", lambda code: "``" + code[1].replace("\\", "") + "``", escaped)
        out.append(line)
    lines[:] = out


def setup(app) -> None:
    """Write the pages of the identities and of check, the tables of learning, and read docstrings as plain text."""
    catalogue_pages.write(HERE / "identities")
    check_pages.write(HERE / "check")
    learning_figures.write(HERE / "learning")
    app.connect("autodoc-process-docstring", plain)
