"""The app in a real browser, on the shipped default: first paint, page changes, decoding one text; what a map weighs.

python -m benchmarks.pages                    # needs Chromium and playwright; about a minute on 2 quiet cores
python -m benchmarks.pages --rounds 5 --port 8700

first paint   a fresh server and an empty browser: until the heading stands and nothing is left to draw; counted from
              where the server answers, and from where its process starts
page change   a click in the sidebar, until the page's heading stands, its script is done and nothing is left to draw;
              over all pages, in rounds, each page once a round. The first visit of a page loads what it shows, and is
              listed beside
decode        a text that was never seen is typed and sent, until its reading stands; and until its badge does
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.runner import Bar, Line, Report, machine
from benchmarks.wire import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

TITLES = (
    "Overview", "Decoded contents", "Neighbourhoods", "Attention masks", "Lenses", "Compare", "Training",
    "Evaluation", "Figures",
)  # fmt: skip
COUNTRIES = ("Italy", "Peru", "Egypt", "Norway", "Chile", "Iceland", "Cuba", "Ghana", "Portugal", "Finland")
"""Their capitals are asked for, one after the other: no two are the same, and none is the page's first text."""
PAINT, CHANGE, DECODE = "first paint", "page change", "decoding one text"
ASKED = {PAINT: 5.0, CHANGE: 1.0, DECODE: 1.0}
"""Seconds that each may take."""
DONE = """title => document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]')
    && !document.querySelector('[data-testid=stSkeleton]')
    && document.querySelector('h1')?.textContent.trim() === title"""
READ = "before => (document.querySelector('.wb-card.accent .wb-read')?.textContent ?? before) !== before"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def run(options: argparse.Namespace) -> Report:
    """All measurements, one after the other."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise SystemExit("needs playwright: pip install playwright") from error
    if chromium is None:
        raise SystemExit("needs Chromium: apt-get install chromium")
    times: dict[str, list[float]] = {}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for _ in range(options.paints - 1):
            with served(options.port) as (address, _, started, answered):
                paint(browser, address, started, answered, times)
        with served(options.port) as (address, process, started, answered):
            tab = paint(browser, address, started, answered, times)
            changes(tab, options.rounds, lambda: spent(process.pid), times)
            decodings(tab, address, options.texts, times)
        browser.close()
    return report(times, options)


def report(times: dict[str, list[float]], options: argparse.Namespace) -> Report:
    """The measured times beside those asked for: a ratio of 1 and above is quick enough."""
    lines = [line(name, values) for name, values in times.items()]
    bars = []
    for name, seconds in ASKED.items():
        asked = f"asked of {name}"
        lines.append(line(asked, [seconds] * len(times[name])))
        bars.append(Bar(name, asked, least=1.0))
    megabytes = f"{map_bytes(50_000) / 1e6:.1f} MB"
    setting: dict[str, Any] = {
        "a map of 50,000 points": megabytes,
        "browser": "Chromium",
        "rounds": options.rounds,
    }
    return Report("pages", "times", f"asked of {CHANGE}", lines, setting | machine(), bars)


def line(name: str, times: list[float]) -> Line:
    """One line of the report."""
    middle = statistics.median(times)
    return Line(name, middle, min(times), max(times), 1 / middle, times)


@contextmanager
def served(port: int) -> Iterator[tuple[str, subprocess.Popen, float, float]]:
    """A fresh server: its address, its process, when that started, and when it first answered."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    started, address = time.perf_counter(), f"http://localhost:{port}"
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(f"{address}/_stcore/health"):
            if process.poll() is not None or time.perf_counter() - started > 300:
                raise SystemExit(f"the app does not answer at {address}")
            time.sleep(0.02)
        yield address, process, started, time.perf_counter()
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        urllib.request.urlopen(url, timeout=2)
    except OSError:
        return False
    return True


def paint(browser: Any, address: str, started: float, answered: float, times: dict[str, list[float]]) -> Page:
    """Opens the first page in an empty browser; the tab stays open."""
    tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    tab.set_default_timeout(300_000)
    tab.goto(address)
    tab.wait_for_function(DONE, arg=TITLES[0])
    now = time.perf_counter()
    times.setdefault(PAINT, []).append(now - answered)
    times.setdefault("first paint, from the process's start", []).append(now - started)
    return tab


def changes(tab: Page, rounds: int, cpu: Callable[[], float], times: dict[str, list[float]]) -> None:
    """Clicks through all pages: once to load what they show, then in rounds. Prints what the server worked for each."""
    order = [*TITLES[1:], TITLES[0]]
    for turn in range(rounds + 1):
        for title in order:
            before = cpu()
            seconds = click(tab, title)
            if turn == 0:
                times[f"first visit of {title}"] = [seconds]
            else:
                times.setdefault(CHANGE, []).append(seconds)
                times.setdefault(f"to {title}", []).append(seconds)
            print(
                f"round {turn} {title:18} {seconds:7.2f} s, server {cpu() - before:6.2f} s of CPU", flush=True
            )


def click(tab: Page, title: str) -> float:
    """Seconds from a click in the sidebar until that page stands."""
    link = tab.get_by_test_id("stSidebar").get_by_role("link", name=title, exact=True)
    start = time.perf_counter()
    link.click()
    tab.wait_for_function(DONE, arg=title)
    return time.perf_counter() - start


def decodings(tab: Page, address: str, count: int, times: dict[str, list[float]]) -> None:
    """Types questions that were never asked, and waits for what their embeddings decode to."""
    tab.goto(f"{address}/decoded")
    tab.wait_for_function(DONE, arg="Decoded contents")
    for country in COUNTRIES[:count]:
        before = tab.locator(".wb-card.accent .wb-read").first.text_content()
        tab.get_by_role("textbox", name="Your text").fill(f"What is the capital of {country}?")
        start = time.perf_counter()
        tab.get_by_role("button", name="Decode", exact=True).click()
        tab.wait_for_function(READ, arg=before)
        times.setdefault(DECODE, []).append(time.perf_counter() - start)
        tab.wait_for_function(DONE, arg="Decoded contents")
        times.setdefault("decoding one text, and its badge", []).append(time.perf_counter() - start)


def spent(process: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def map_bytes(count: int) -> int:
    """Bytes of a map of so many texts, as it is sent to the browser."""
    from workbench.figures.map import MapData, neighbour_map

    texts = [
        f"What is the capital of the country number {row}, between the hills and the sea?"
        for row in range(count)
    ]
    coords = np.random.default_rng(0).standard_normal((count, 2)).astype(np.float32)
    data = MapData(texts, [f"group {row % 9}" for row in range(count)], [""] * count, coords)
    return len(str(neighbour_map(data).to_json()).encode())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument(
        "--rounds", type=int, default=3, help="how often every page is opened, after the first time"
    )
    found.add_argument("--paints", type=int, default=3, help="fresh servers")
    found.add_argument("--texts", type=int, default=len(COUNTRIES), help="questions to decode")
    found.add_argument("--port", type=int, default=8613)
    return found


if __name__ == "__main__":
    measured = run(parser().parse_args())
    print(measured.table())
    print(measured.save())
