"""The app in a real browser (Debian's Chromium, driven by Playwright): type, decode, click a point, follow a link.

`pytest -m browser`; skips, and says why, where Chromium or Playwright is missing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'

MARKED = """() => ['x', 'x2'].map(axis => document.querySelector('.js-plotly-plot').calcdata
    .filter(points => points[0].trace.xaxis === axis).flat().filter(point => point.selected).length)"""
"""How many points are marked as selected on the left and on the right map."""


@pytest.fixture(scope="module")
def server(shipped_default):
    """The app's address, served on a free port from the throw-away default."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    environment = {**os.environ, "WORKBENCH_DATA": str(shipped_default), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://localhost:{port}"
    try:
        _wait_for(f"{address}/_stcore/health")
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def tab(server):
    """A browser tab; fails the test where a request left this machine or the page reported a script error."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(90_000)
        away, broken = [], []
        page.on("request", lambda request: away.append(request.url) if _leaves(request.url, server) else None)
        page.on("pageerror", lambda error: broken.append(str(error)))
        yield page
        browser.close()
    assert away == []
    assert broken == []


def test_type_a_text_and_decode_it(server, tab):
    _open(tab, f"{server}/decoded")
    tab.get_by_role("textbox", name="Your text").fill("<script>document.title = 'taken'</script> gold")
    tab.get_by_role("button", name="Decode", exact=True).click()
    tab.wait_for_url("**/decoded?text=*gold*")
    _shows(tab, "Decoded from the embedding")
    _shows(tab, "Round trip")
    assert tab.title() != "taken"
    tab.get_by_role("button", name="Two hops").click()
    tab.wait_for_url("**/decoded?text=Which*Paris*")


def test_click_a_point(server, tab):
    _open(tab, f"{server}/neighbourhoods")
    _shows(tab, "Nothing chosen yet: click a point, search for a text, or type your own.")
    point = tab.locator(".js-plotly-plot .scatterlayer path.point").first
    point.wait_for()
    box = point.bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_url("**/neighbourhoods?point=*")
    _shows(tab, "Its embedding decodes to")
    _shows(tab, "Nearest texts, by cosine similarity")


def test_the_text_and_the_view_follow_the_link(server, tab):
    _open(tab, f"{server}/attention?text=Tell+me+about+gold.&layer=2")
    _holds(tab, "Your text", "Tell me about gold.")
    tab.get_by_text("layer 2, mean of 4 heads").wait_for()
    tab.get_by_role("link", name="Neighbourhoods").click()
    tab.wait_for_url("**/neighbourhoods?*gold*")
    _holds(tab, "Your own text", "Tell me about gold.")


def test_walk_to_another_text(server, tab):
    _open(tab, f"{server}/decoded?text=Tell+me+about+gold.")
    tab.get_by_text("Walk to another text").click()
    tab.wait_for_url("**/decoded?*walk=true*")
    tab.get_by_role("textbox", name="From the text above to").fill("What is the capital of France?")
    tab.get_by_role("textbox", name="From the text above to").press("Enter")
    tab.wait_for_url("**/decoded?*France*")
    _shows(tab, "50% of the way")
    assert tab.locator(".wb-steps li").count() == 7
    tab.get_by_role("slider", name="How far").press("ArrowRight")
    tab.wait_for_url("**/decoded?*step=67*")
    _shows(tab, "67% of the way")


def test_open_another_embedder_and_follow_its_link(server, tab, shipped_default, tmp_path):
    other = tmp_path / "my_other"
    shutil.copytree(shipped_default / "embedders" / "llm2vec-gen", other)
    _open(tab, server)
    tab.get_by_role("button", name="Open another").click()
    tab.get_by_placeholder("folder or hub id").fill(str(other))
    tab.get_by_role("button", name="Open", exact=True).click()
    tab.wait_for_url("**/?embedder=*my_other*")
    tab.get_by_role("link", name="Decoded contents").click()
    tab.wait_for_url("**/decoded?*embedder=*my_other*")
    _shows(tab, "Round trip")
    link = tab.url
    _open(tab, link)
    _shows(tab, "Round trip")
    assert tab.get_by_role("radio", name="my_other").is_checked()
    tab.get_by_text("LLM2Vec-Gen", exact=True).first.click()
    tab.wait_for_url(lambda url: "my_other" not in url)


def test_both_themes_fit_1280_pixels(server, tab):
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        for page in ("", "decoded", "neighbourhoods", "attention", "training"):
            _open(tab, f"{server}/{page}")
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        ground = tab.evaluate(
            "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        assert (sum(map(int, ground[4:-1].split(","))) < 384) == (theme == "dark")


def test_a_lasso_selects_and_undo_takes_it_back(server, tab):
    _open(tab, f"{server}/neighbourhoods?drag=lasso")
    _lasso(tab, tab.locator(".js-plotly-plot .nsewdrag").first)
    tab.wait_for_url("**/neighbourhoods?*rows=0-6*")
    _shows(tab, "7 selected texts")
    tab.get_by_role("button", name="Undo").click()
    tab.wait_for_url(lambda address: "rows=" not in address)


def test_a_lasso_on_the_right_of_two_maps_selects_on_both(server, tab, shipped_default):
    _open(tab, f"{server}/compare?drag=lasso&with={shipped_default}/embedders/llm2vec-gen")
    _lasso(tab, tab.locator(".js-plotly-plot .nsewdrag").nth(1))
    tab.wait_for_url("**/compare?*rows=0-6*")
    _shows(tab, "7 selected texts, on both sides")
    tab.wait_for_function(f"JSON.stringify(({MARKED})()) === '[7,7]'")
    tab.get_by_role("button", name="Undo").click()
    tab.wait_for_url(lambda address: "rows=" not in address)


def test_change_the_layer(server, tab):
    _open(tab, f"{server}/attention?text=Tell+me+about+gold.")
    layers = tab.locator(".st-key-layer")
    layers.get_by_text("2", exact=True).click()
    tab.wait_for_url("**/attention?*layer=2*")
    tab.get_by_text("layer 2, mean of 4 heads").wait_for()
    layers.get_by_text("mean", exact=True).click()
    tab.get_by_text("mean of 2 layers, mean of 4 heads").wait_for()
    _open(tab, f"{server}/lenses?text=Tell+me+about+gold.&lens_layer=1")
    tab.locator(".wb-key").filter(has_text="logit lens").filter(has_text=", layer 1").wait_for()
    tab.get_by_role("slider", name="Layer").press("ArrowRight")
    tab.wait_for_url("**/lenses?*lens_layer=2*")
    tab.locator(".wb-key").filter(has_text="logit lens").filter(has_text=", layer 2").wait_for()


def test_the_keyboard_alone_is_enough(server, tab):
    _open(tab, f"{server}/decoded")
    _shows(tab, "Round trip")
    for _ in range(60):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.matches('textarea[aria-label=\"Your text\"]')"):
            break
    tab.keyboard.press("Control+A")
    tab.keyboard.type("Tell me about gold.")
    tab.keyboard.press("Control+Enter")
    tab.wait_for_url("**/decoded?*gold*")
    tab.wait_for_selector(IDLE)
    _shows(tab, "Decoded from the embedding")
    tab.keyboard.press("Shift+Tab")  # back to the last of the examples
    tab.keyboard.press("Enter")
    _holds(
        tab, "Your text", "How does the writer feel? My best friend is coming home and I cannot stop smiling."
    )


def test_download_a_figure(server, tab, shipped_default):
    figures = shipped_default / "figures"
    figures.mkdir()
    try:
        shutil.copy(ROOT / "data" / "figures" / "gem_mask.json", figures)
        _open(tab, f"{server}/figures?figure=gem+mask")
        assert _downloaded(tab, "PDF").startswith(b"%PDF")
        assert ElementTree.fromstring(_downloaded(tab, "SVG")).tag.endswith("svg")
        assert json.loads(_downloaded(tab, "Data"))["figure"] == "gem_mask"
    finally:
        shutil.rmtree(figures)


def test_two_sessions_at_once_do_not_mix(server, tab):
    other = tab.context.browser.new_page(viewport={"width": 1280, "height": 900})
    other.set_default_timeout(90_000)
    for page, text in ((tab, "Tell me about gold."), (other, "Which instrument has six strings?")):
        page.goto(f"{server}/neighbourhoods?text={text.replace(' ', '+')}&rows={len(text) % 7}")
    for page, text in ((tab, "Tell me about gold."), (other, "Which instrument has six strings?")):
        page.wait_for_selector(IDLE)
        _holds(page, "Your own text", text)
        _shows(page, "Your text")
        passage = page.locator(".wb-card.accent .wb-read").first
        assert passage.inner_text() == text
        assert f"rows={len(text) % 7}" in page.url
    other.close()


def _open(tab, address: str) -> None:
    """Opens a page and waits until its script has run."""
    tab.goto(address)
    tab.wait_for_selector("h1")
    tab.wait_for_selector(IDLE)


def _lasso(tab, plot) -> None:
    """Drags around all of a plot's area."""
    plot.wait_for()
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.01)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=12)
    tab.mouse.up()


def _downloaded(tab, label: str) -> bytes:
    """What the browser saves when that button is clicked."""
    with tab.expect_download() as got:
        tab.get_by_test_id("stDownloadButton").filter(has_text=label).get_by_role("button").click()
    return got.value.path().read_bytes()


def _shows(tab, text: str) -> None:
    tab.get_by_text(text, exact=True).wait_for()


def _holds(tab, label: str, text: str) -> None:
    from playwright.sync_api import expect

    expect(tab.get_by_role("textbox", name=label)).to_have_value(text, timeout=60_000)


def _leaves(url: str, server: str) -> bool:
    return not url.startswith((server, server.replace("http", "ws"), "data:", "blob:"))


def _wait_for(url: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"no answer from {url}")
