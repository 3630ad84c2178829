"""Follow every link of a built site within itself: the page must exist, and the anchor on it.

python docs/links.py docs/_build/html

Nothing may be loaded from another host either, so that the site reads without a connection, and tells nobody who
reads it. An ordinary link to a paper is no load.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""")
"""What a style sheet loads from elsewhere."""
LINK_ONLY = {"a", "area"}
RELATIONS = {"canonical", "alternate", "next", "prev", "search", "index", "author", "license", "help", "me"}
"""<link>s that say something and load nothing."""


class Page(HTMLParser):
    """The links and the anchors of a page, and what it loads from other hosts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.anchors, self.loads = set(), {"", "top"}, set()
        self.inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list) -> None:
        """Note what the tag refers to, loads and may be called by."""
        found = dict(attributes)
        self.inside = tag
        self.links |= {found[name] for name in ("href", "src") if found.get(name)}
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        said = tag in LINK_ONLY or (tag == "link" and set((found.get("rel") or "").split()) <= RELATIONS)
        names = (
            ("src", "poster", "data", "action") if said else ("href", "src", "poster", "data", "action", "xlink:href")
        )
        sources = [found.get(name) or "" for name in names]
        sources += [part.split()[0] for part in (found.get("srcset") or "").split(",") if part.strip()]
        self.loads |= {source for source in sources if abroad(source)} | set(LOADING.findall(found.get("style") or ""))

    def handle_data(self, data: str) -> None:
        """Note what a style sheet within the page loads."""
        if self.inside == "style":
            self.loads |= set(LOADING.findall(data))


def abroad(link: str) -> bool:
    """Whether a link leads to another host."""
    return bool(urlsplit(link).netloc)


def dead(root: Path) -> tuple[int, int, list[str]]:
    """The number of pages and of links within the site, and what is wrong: dead links, and loads from elsewhere."""
    pages = {path.resolve(): Page(path) for path in root.rglob("*.html")}
    count, wrong = 0, []
    for path, page in pages.items():
        name = path.relative_to(root.resolve())
        wrong += [f"{name} loads {source}" for source in page.loads]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            count += 1
            if not target.is_file() or unquote(parts.fragment) not in anchors:
                wrong.append(f"{name} → {link}")
    for sheet in root.rglob("*.css"):
        wrong += [f"{sheet.relative_to(root)} loads {source}" for source in LOADING.findall(sheet.read_text("utf-8"))]
    return len(pages), count, wrong


if __name__ == "__main__":
    pages, count, wrong = dead(Path(sys.argv[1]))
    print(f"{pages} pages, {count} links within the site, {len(wrong)} of them dead or loading from elsewhere")
    print(*sorted(wrong), sep="\n", end="\n" * bool(wrong))
    sys.exit(bool(wrong) or not count)
