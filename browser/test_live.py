# ruff: noqa: D103
"""Live cells in a real browser: `pytest browser/test_live.py`, after the site was built and build.py has run.

LIVE_SITE is the folder of the site, docs/_build/html where it is not set. CHROMIUM is the browser, that of the PATH or
else Playwright's own. Screenshots go to browser/screenshots.
"""

import functools
import gzip
import http.server
import os
import re
import shutil
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
from playwright.sync_api import expect, sync_playwright

HERE = Path(__file__).parent
SITE = Path(os.environ.get("LIVE_SITE", HERE.parent / "docs" / "_build" / "html"))
RIGHT = {
    "q_step": "def q_step(x, t, eps, betas):\n    b = betas[t - 1]\n    return np.sqrt(1 - b) * x + np.sqrt(b) * eps\n",
    "alpha_bar": "def alpha_bar(betas):\n    return np.concatenate([[1.0], np.cumprod(1 - betas)])\n",
    "q_sample": "def q_sample(x0, t, eps, betas):\n    left = alpha_bar(betas)[t]\n"
    "    return np.sqrt(left) * x0 + np.sqrt(1 - left) * eps\n",
}
WRONG = "def q_sample(x0, t, eps, betas):\n    a = 1 - betas[t - 1]\n    return a**0.5 * x0 + (1 - a) ** 0.5 * eps\n"
PATIENCE = float(os.environ.get("PATIENCE", "60"))  # seconds for a first start
expect.set_options(timeout=1000 * PATIENCE)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints nothing and lists what it was asked for."""

    asked: ClassVar[list[str]] = []
    prefix = "/tinydiff"  # a project's site has one on most hosts

    def translate_path(self, path: str) -> str:
        """The file of an address."""
        return super().translate_path(path.removeprefix(self.prefix))

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """A file."""
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{Quiet.prefix}/live.html"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"))
        yield found
        found.close()


@pytest.fixture(scope="module")
def context(browser, address):
    """One reader, whose cache and texts stay from test to test; nothing may go wrong, or to another host."""
    reader, wrong = browser.new_context(viewport={"width": 1280, "height": 900}), []
    reader.on("console", lambda message: message.type in {"error", "warning"} and wrong.append(message.text))
    reader.on("weberror", lambda error: wrong.append(str(error.error)))
    reader.on("request", lambda request: elsewhere(request.url, address) and wrong.append(request.url))
    yield reader
    reader.close()
    assert not wrong


def elsewhere(url: str, address: str) -> bool:
    return not url.startswith((address.rsplit("/", 1)[0] + "/", "data:", "blob:"))


@pytest.fixture
def page(context, address):
    opened = context.new_page()
    opened.goto(address)
    yield opened
    opened.close()


def write(page, name: str, code: str) -> None:
    """Put a text into a cell as a reader does who pastes it."""
    editor = page.get_by_label(f"Code of {name}")
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)


def press(page, button: str, name: str):
    """Press a button of a cell; what the cell says."""
    cell = page.locator(f'live-cell[name="{name}"]')
    cell.get_by_role("button", name=f"{button} {name}", exact=True).click()
    return cell.get_by_role("status")


def output(page, name: str):
    return page.locator(f'live-cell[name="{name}"] .live-out')


def test_the_page_asks_for_nothing_of_python_before_a_press(page):
    assert page.locator("live-cell .cm-editor").count() == 3
    assert not [path for path in Quiet.asked if path.endswith(".bin")]


def test_a_right_answer_passes(page):
    began = time.perf_counter()
    write(page, "q_step", RIGHT["q_step"])
    expect(press(page, "Check", "q_step")).to_have_text("It obeys its laws.")
    print(f"first check, cold: {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    press(page, "Check", "q_step")
    expect(page.locator('live-cell[name="q_step"]').get_by_role("status")).to_have_text("It obeys its laws.")
    print(f"second check: {time.perf_counter() - began:.1f} s")


def test_a_wrong_answer_shows_the_law_and_the_case(page):
    began = time.perf_counter()
    write(page, "q_sample", WRONG)
    expect(press(page, "Check", "q_sample")).to_have_text("Not yet.")
    print(f"first check, warm: {time.perf_counter() - began:.1f} s")
    expect(output(page, "q_sample")).to_contain_text("q_sample(x0=")
    expect(output(page, "q_sample")).to_contain_text("Consistent with 1 − β_t in place of ᾱ_t")


def test_a_function_calls_those_that_passed(page):
    for name in ("alpha_bar", "q_sample"):
        write(page, name, RIGHT[name])
        expect(press(page, "Check", name)).to_have_text("It obeys its laws.")
    expect(page.locator("live-file").get_by_role("status")).to_contain_text("alpha_bar, q_sample.")
    page.screenshot(path=HERE / "screenshots" / "1280.png", full_page=True)


def test_the_exercises_of_a_notebook_are_live(context, address, page):
    """They begin as in the notebook, without its last line, or as on another page, and know what passed there."""
    notebook = context.new_page()
    notebook.goto(address.replace("live.html", "course/01_one_noisy_step.html"))
    assert notebook.locator("live-cell").count() == 3
    expect(notebook.get_by_label("Code of q_sample")).to_contain_text("left = alpha_bar")
    expect(press(notebook, "Check", "q_sample")).to_have_text("It obeys its laws.")
    expect(notebook.locator("live-file").get_by_role("status")).to_contain_text("q_sample")
    notebook.goto(address.replace("live.html", "course/02_schedules.html"))
    for cell in notebook.locator("live-cell").all():
        expect(cell.locator(".cm-content")).to_contain_text("# your code here")
        expect(cell.locator(".cm-content")).not_to_contain_text("keep(")
    notebook.close()


def test_an_endless_loop_is_stopped_and_python_goes_on(page):
    write(page, "q_step", "while True: pass\n")
    cell = page.locator('live-cell[name="q_step"]')
    said = press(page, "Run", "q_step")
    expect(said).to_have_text("Running …")
    time.sleep(1)
    press(page, "Stop", "q_step")
    expect(said).to_have_text(re.compile("^Stopped"))
    write(page, "q_step", "print(6 * 7)")
    began = time.perf_counter()
    expect(press(page, "Run", "q_step")).to_have_text("Done.")
    print(f"a run after a stop: {time.perf_counter() - began:.1f} s")
    expect(output(page, "q_step")).to_have_text("42")
    expect(cell.get_by_role("button", name="Stop q_step")).to_be_disabled()


def test_a_text_stays_until_it_is_reset(page):
    write(page, "q_step", "mine = 1\n")
    page.reload()
    expect(page.get_by_label("Code of q_step")).to_contain_text("mine = 1")
    press(page, "Reset", "q_step")
    expect(page.get_by_label("Code of q_step")).to_contain_text("def q_step")


def test_an_error_shows_the_lines_of_the_cell_alone(page):
    write(page, "q_step", "def f():\n    return 1 / 0\nf()\n")
    expect(press(page, "Run", "q_step")).to_have_text("It raised an error.")
    told = output(page, "q_step").inner_text()
    assert "line 2, in f\n    return 1 / 0\n" in told
    assert "ZeroDivisionError" in told
    assert "live.py" not in told


def test_a_figure_is_shown(page):
    write(page, "q_step", "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\n")
    began = time.perf_counter()
    expect(press(page, "Run", "q_step")).to_have_text("Done.")
    print(f"first figure: {time.perf_counter() - began:.1f} s")
    expect(output(page, "q_step").locator("pre")).to_have_count(0)  # no warning
    picture = output(page, "q_step").locator("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


def test_mine_py_goes_out_and_in(page, tmp_path):
    write(page, "alpha_bar", RIGHT["alpha_bar"])
    expect(press(page, "Check", "alpha_bar")).to_have_text("It obeys its laws.")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save mine.py").click()
    saved.value.save_as(tmp_path / "mine.py")
    text = (tmp_path / "mine.py").read_text(encoding="utf-8")
    assert RIGHT["alpha_bar"] in text
    compile(text, "mine.py", "exec")
    press(page, "Reset", "alpha_bar")
    page.get_by_label("Load mine.py").set_input_files(tmp_path / "mine.py")
    expect(page.get_by_label("Code of alpha_bar")).to_contain_text("np.cumprod")


def test_all_is_reached_by_the_keyboard(page):
    page.get_by_label("Code of q_step").focus()
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel"))
    assert reached == ["Run q_step", "Check q_step", "Reset q_step", "Code of alpha_bar"]  # Stop has nothing to stop
    write(page, "alpha_bar", RIGHT["alpha_bar"])
    page.keyboard.press("Control+Enter")
    expect(page.locator('live-cell[name="alpha_bar"]').get_by_role("status")).to_have_text("It obeys its laws.")


def test_a_narrow_screen_shows_all(page):
    page.set_viewport_size({"width": 390, "height": 844})
    write(page, "q_sample", WRONG)
    expect(press(page, "Check", "q_sample")).to_have_text("Not yet.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(path=HERE / "screenshots" / "390.png", full_page=True)
    write(page, "q_sample", RIGHT["q_sample"])


def test_the_second_load_is_from_the_cache_and_needs_no_connection(page, context):
    write(page, "q_sample", RIGHT["q_sample"].replace("alpha_bar(betas)[t]", "np.prod(1 - betas[:t])"))
    expect(press(page, "Check", "q_sample")).to_have_text("It obeys its laws.")
    kept = f"caches.match('{page.url}').then((found) => found ? 1 : 0)"
    for _ in range(100):  # the page is kept while the reader goes on
        time.sleep(0 if page.evaluate(kept) else 0.1)
    Quiet.asked.clear()
    page.reload()
    expect(press(page, "Check", "q_sample")).to_have_text("It obeys its laws.")
    assert not [path for path in Quiet.asked if path.endswith(".bin")]
    context.set_offline(True)
    page.reload()
    expect(press(page, "Check", "q_sample")).to_have_text("It obeys its laws.")
    context.set_offline(False)


def test_a_start_is_given_up(page):
    said = press(page, "Run", "q_step")
    press(page, "Stop", "q_step")
    expect(said).to_have_text(re.compile("^Stopped"))
    write(page, "q_step", "print(1)")
    expect(press(page, "Run", "q_step")).to_have_text("Done.")


def test_python_that_dies_starts_again(page):
    write(page, "q_step", "import os\nos.abort()\n")
    expect(press(page, "Run", "q_step")).to_have_text(re.compile("^Python ended"))
    write(page, "q_step", "print(2)")
    expect(press(page, "Run", "q_step")).to_have_text("Done.")


def test_the_policy_keeps_other_hosts_out_of_the_page_and_of_the_worker(browser, address):
    page = browser.new_page()
    page.goto(address)
    blocked = """
        const tell = self.document ? (url) => window.told(url) : (url) => postMessage(url);
        addEventListener("securitypolicyviolation", (event) => tell(event.blockedURI));
        fetch("https://example.org/").catch(() => {});
    """
    page_tells = f"new Promise((resolve) => {{ setTimeout(resolve, 9000); window.told = resolve; {blocked} }})"
    assert page.evaluate(page_tells) == "https://example.org/"
    worker = f"new Worker(URL.createObjectURL(new Blob([`{blocked}`], {{ type: 'text/javascript' }})))"
    hears = "onmessage = (event) => resolve(event.data)"
    worker_tells = f"new Promise((resolve) => {{ setTimeout(resolve, 9000); ({worker}).{hears}; }})"
    assert page.evaluate(worker_tells) == "https://example.org/"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["live.html", "course/01_one_noisy_step.html", "course/06_your_network.html"])
def test_axe_finds_nothing_serious(browser, address, path, scheme):
    reader = browser.new_context(color_scheme=scheme, bypass_csp=True)  # axe itself is a script that the policy forbids
    opened = reader.new_page()
    opened.goto(address.replace("live.html", path))
    expect(opened.locator("live-cell .cm-editor").first).to_be_visible()
    opened.evaluate((HERE / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = opened.evaluate("axe.run().then((result) => result.violations.map(({ impact, id }) => [impact, id]))")
    assert [each for each in found if each[0] in {"serious", "critical"}] == []
    reader.close()


def test_the_bytes_stay_within_the_budget(browser, address):
    """The page, without what shows formulas, is 300 kB at most before Python is asked for; with Python it is 32 MB."""
    reader, before = browser.new_context(), len(Quiet.asked)
    opened = reader.new_page()
    opened.goto(address)
    opened.wait_for_load_state("networkidle")
    page = sum(over_the_wire(asked) for asked in set(Quiet.asked[before:]) if "mathjax" not in asked)
    press(opened, "Check", "q_step")
    expect(output(opened, "q_step")).not_to_be_empty()
    whole = sum(over_the_wire(asked) for asked in set(Quiet.asked[before:]))
    print(f"the page: {page / 1e3:.0f} kB; with formulas and Python: {whole / 1e6:.1f} MB")
    assert page < 300e3
    assert whole < 32e6
    reader.close()


def over_the_wire(asked: str) -> int:
    """The bytes of what was asked for, packed by gzip where it is not packed already."""
    path = SITE / asked.removeprefix(f"{Quiet.prefix}/").partition("?")[0]
    data = path.read_bytes()
    return len(data) if path.suffix in {".bin", ".woff", ".png"} else len(gzip.compress(data))
