"""Follow every link of a built site within itself: the page must exist, and the anchor on it.

python docs/links.py docs/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.anchors = set(), {"", "top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list) -> None:
        """Note what the tag refers to and what it may be called by."""
        found = dict(attributes)
        self.links |= {found[name] for name in ("href", "src") if found.get(name)}
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}


def dead(root: Path) -> tuple[int, list[str]]:
    """The number of links within the site, and those that lead nowhere."""
    pages = {path.resolve(): Page(path) for path in root.rglob("*.html")}
    count, broken = 0, []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            count += 1
            if not target.is_file() or unquote(parts.fragment) not in anchors:
                broken.append(f"{path.relative_to(root.resolve())} → {link}")
    return count, broken


if __name__ == "__main__":
    count, broken = dead(Path(sys.argv[1]))
    print(f"{count} links within the site, {len(broken)} dead", *sorted(broken), sep="\n")
    sys.exit(bool(broken) or not count)
