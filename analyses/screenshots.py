"""Screenshots of every page in both themes: `python analyses/screenshots.py [folder]` (needs Chromium, playwright)."""

import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
PORT = 8611
TEXT = "text=Which+continent+is+the+country+whose+capital+is+Paris+on%3F"
PAGES = {
    "overview": "",
    "decoded": f"decoded?{TEXT}&walk=true",
    "neighbourhoods": f"neighbourhoods?{TEXT}",
    "attention": f"attention?{TEXT}",
    "lenses": f"lenses?{TEXT}&causes=true&feeds=true",
    "compare": f"compare?{TEXT}",
}
PAGES |= {
    "training": "training?run=data/embedders/gem",
    "evaluation": "evaluation",
    "figures": "figures?figure=neighbourhoods",
}
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def take(page: Page, address: str, target: Path) -> None:
    """Opens an address, waits until its drawings stand, and saves the whole page at a width of 1280 pixels."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(address)
    page.wait_for_selector("h1")
    page.wait_for_timeout(500)
    page.wait_for_selector(IDLE)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": 1280, "height": max(900, height)})
    page.wait_for_timeout(1500)
    page.screenshot(path=target)


def main(folder: Path) -> None:
    """Serves the app, opens every page in both themes, and says what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={PORT}"], cwd=ROOT
    )
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://localhost:{PORT}/_stcore/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            for theme in ("light", "dark"):
                page = browser.new_context(color_scheme=theme).new_page()
                page.set_default_timeout(120_000)
                for name, address in PAGES.items():
                    take(page, f"http://localhost:{PORT}/{address}", folder / f"{name}-{theme}.png")
                    print(folder / f"{name}-{theme}.png")
    finally:
        server.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots")
