"""Screenshots of every page in both themes, and the walk-through with its own.

python analyses/screenshots.py [folder]       # writes screenshots/ and walkthrough.md into docs/, or into that folder

Needs Chromium and playwright.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

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
    "training": "training?run=data/runs/llm2vec-gen",
    "evaluation": "evaluation",
    "figures": "figures?figure=neighbourhoods",
}
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
WIDTH, HEIGHT = 1280, 900
LARGEST = 150_000
"""Bytes of a picture; one that is larger gets fewer colours."""
COLOURS = (256, 128, 64, 32, 16)


def main(folder: Path) -> None:
    """Serves the app, opens every page in both themes, walks through, and says what was written."""
    from analyses import walkthrough

    pictures = folder / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    with served() as address:
        for theme in ("light", "dark"):
            with browser(theme) as page:
                for name, view in PAGES.items():
                    settle(page, f"{address}/{view}")
                    save(whole(page), pictures / f"{name}-{theme}.png")
        with browser("light") as page:
            walkthrough.write(page, address, folder / "walkthrough.md", pictures)


@contextmanager
def served() -> Iterator[str]:
    """The app on the shipped default; gives its address."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={PORT}"]
    server, address = subprocess.Popen(command, cwd=ROOT), f"http://localhost:{PORT}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait()


@contextmanager
def browser(theme: str) -> Iterator[Page]:
    """A tab of an empty browser in the light or the dark theme."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_context(color_scheme="dark" if theme == "dark" else "light").new_page()
        page.set_default_timeout(300_000)
        yield page
        chromium.close()


def settle(page: Page, address: str = "") -> None:
    """Opens the address, if one is given, and waits until its drawings stand."""
    if address:
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.goto(address)
    page.wait_for_selector("h1")
    page.wait_for_timeout(500)
    page.wait_for_selector(IDLE)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    if page.locator("[data-testid=stException]").count():
        raise SystemExit(
            f"{page.url} shows an error, which is no picture to keep: the server's output has it"
        )


def whole(page: Page) -> bytes:
    """The page from its top to its end, as PNG."""
    stretch(page)
    return page.screenshot()


def stretch(page: Page) -> None:
    """Makes the window as high as the page, so that all of it is drawn."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, height)})
    page.wait_for_timeout(1500)
    page.wait_for_selector(IDLE)


def save(picture: bytes, target: Path) -> None:
    """Writes a PNG with as many colours as let it stay small."""
    image, written = Image.open(BytesIO(picture)).convert("RGB"), b""
    for colours in COLOURS:
        out = BytesIO()
        reduced(image, colours).save(out, "PNG", optimize=True)
        written = out.getvalue()
        if len(written) <= LARGEST:
            break
    target.write_bytes(written)
    print(f"{target} ({len(written) / 1000:.0f} kB, {image.width} x {image.height})", flush=True)


def reduced(image: Image.Image, colours: int) -> Image.Image:
    """The image in so many colours: half are its most frequent ones, half those that are farthest from all others."""
    values = np.asarray(image).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    codes, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    every = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    kept = list(np.argsort(-counts, kind="stable")[: colours // 2])
    away = np.full(len(codes), np.iinfo(np.int64).max)
    nearest = np.zeros(len(codes), dtype=np.uint8)
    for number in range(min(colours, len(codes))):
        if number == len(kept):
            kept.append(int(np.argmax(away)))
        distance = np.square(every - every[kept[number]]).sum(axis=1)
        nearest[distance < away], away = number, np.minimum(away, distance)
    found = Image.fromarray(nearest[where].reshape(values.shape), "P")
    found.putpalette(every[kept].astype(np.uint8).tobytes())
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
