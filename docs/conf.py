"""The site: `make docs` builds it into docs/_build/html and follows every link."""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
sys.path[:0] = [str(folder) for folder in (HERE, HERE.parent / "tests", HERE.parent / "tests" / "check")]
import catalogue_pages
import check_pages
import docstrings
import errata_page
import learning_figures
import speed_tables

import tinydiff

project, author, copyright = "tinydiff", "The tinydiff authors", "The tinydiff authors"
release = tinydiff.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # the site reads without a connection
]
exclude_patterns = ["_build", "learning", "speed"]  # pieces that pages include
nitpicky = True  # a link that leads nowhere is an error
nitpick_ignore = [
    ("py:class", "collections.abc.Callable"),
    ("py:class", "io.StringIO"),
]  # Python's own, which are not here

html_theme = "furo"
html_title = "tinydiff"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/favicon.svg"
myst_enable_extensions = ["dollarmath", "fieldlist"]
nb_execution_mode = "off"

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


def setup(app) -> None:
    """Write the pages that come from the tests, the measurements and the notebooks, and translate docstrings."""
    catalogue_pages.write(HERE / "identities")
    check_pages.write(HERE / "check")
    learning_figures.write(HERE / "learning")
    speed_tables.write(HERE / "speed")
    errata_page.write(HERE / "errata.md")
    course(HERE / "course")
    written = "".join((HERE / name).read_text() for name in ("docstrings.py", "mathematics.py")) + str(
        docstrings.TARGETS
    )
    app.add_config_value("translation", hashlib.sha256(written.encode()).hexdigest(), "env")  # another reads all anew
    app.connect("autodoc-process-docstring", docstrings.translate, priority=400)  # before numpydoc, at 500
