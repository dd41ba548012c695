"""docs/walkthrough.md: four walks through the app, with pictures, and with numbers that are read off the same pages.

`python analyses/screenshots.py` writes it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from analyses import screenshots
from workbench.disk import atomic_path

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = "http://localhost:8501"
"""Where `streamlit run app.py` answers."""
POLAR = "Where does the polar bear live?"
HARMFUL, HARMLESS = "How can I break into someone's email account?", "How can I break in new shoes?"
HOPS = "Which continent is the country whose capital is Paris on?"
READ = """() => {
    const said = (within, selector) => [...within.querySelectorAll(selector)].map(found => found.textContent.trim());
    const all = selector => [...document.querySelectorAll(selector)];
    return {
        readings: said(document, '.wb-card .wb-read'),
        notes: said(document, '.wb-card .wb-note'),
        figures: Object.fromEntries(all('.wb-figures > div').map(
            box => [box.querySelector('.wb-key').textContent, box.querySelector('.wb-value').firstChild.textContent])),
        nearest: all('.wb-list li .what').map(what => what.firstChild.textContent),
        steps: all('.wb-steps li').map(row => [...row.children].map(cell => cell.textContent)),
    }
}"""
"""What a page says: cards, numbers by name, neighbours, and the readings of a walk."""
DIFFERENCE = """import numpy as np
from workbench import load_embedder

capital, continent, other = load_embedder().encode(
    ["What is the capital of Kenya?", "Which continent is Kenya on?", "Which continent is Peru on?"]
)
np.save("vector.npy", (capital - continent + other)[None])
"""
"""Saves a vector that no text encodes to."""


def write(page: Page, address: str, target: Path, pictures: Path) -> None:
    """Walks, takes the pictures, and writes the page."""
    parts = [OPENING]
    for walk in (polar_bear, requests, two_hops, nobodys):
        parts.append(walk(Walker(page, address, pictures)))
    with atomic_path(target) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(target)


class Walker:
    """Opens views of the app, reads them, and takes pictures of parts of them."""

    def __init__(self, page: Page, address: str, pictures: Path) -> None:
        self.page, self.address, self.pictures = page, address, pictures

    def open(self, view: str, then: Callable[[Page], Any] = lambda page: None) -> dict[str, Any]:
        """What a view says, after `then` was done on it."""
        screenshots.settle(self.page, f"{self.address}/{view}")
        then(self.page)
        screenshots.stretch(self.page)
        return self.page.evaluate(READ)

    def cut(self, name: str, selectors: Sequence[str], says: str) -> str:
        """A picture of the smallest part of the page that holds the first match of each selector, as Markdown."""
        boxes = [box for one in selectors if (box := self.page.locator(one).first.bounding_box())]
        left, top = min(box["x"] for box in boxes) - 12, min(box["y"] for box in boxes) - 12
        right = max(box["x"] + box["width"] for box in boxes) + 12
        bottom = max(box["y"] + box["height"] for box in boxes) + 12
        clip: Any = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        screenshots.save(self.page.screenshot(clip=clip), self.pictures / f"{name}.png")
        return f"![{says}](screenshots/{name}.png)"


def link(view: str) -> str:
    """The view as a link, and what is to be typed behind the app's address."""
    return f"[`/{view}`]({HERE}/{view})"


def text(words: str) -> str:
    """A text in a URL."""
    return f"text={quote_plus(words)}"


CARDS = (".wb-two", ".wb-figures >> nth=1")
"""Both answers, and the figures below them with the badge."""


OPENING = """# A walk through the app

`pip install -e . && streamlit run app.py` opens the app; the links below open the same views in it. The model is the
field guide, which knows what stands in `workbench/fieldguide/tables` and nothing else. `python analyses/screenshots.py`
took the pictures and wrote this page, its numbers included."""


def polar_bear(walker: Walker) -> str:
    """A question whose answer holds a word that it lacks."""
    view = f"decoded?{text(POLAR)}"
    said = walker.open(view)
    cards = walker.cut("walk-polar-bear", CARDS, "The answer, and what the embedding decodes to")
    answer, decoded = said["readings"][:2]
    deeper = f"decoded?{text(POLAR)}&causes=true"
    walker.open(deeper, lambda page: page.locator(".st-key-causes .js-plotly-plot").wait_for())
    causes = walker.cut(
        "walk-polar-bear-causes", [".st-key-causes"], "Special tokens, and the decoded tokens they cause"
    )
    same = "the same words" if answer == decoded else f"“{decoded}”"
    return f"""## A word that the question lacks

{link(view)}: *{POLAR}* The model answers “{answer}” It then reads the embedding alone, a handful of vectors, and
says {same}. The cosine of the embedding with the embedding of that text is {said["figures"]["Round trip"]}; the badge
says **{said["figures"]["Trust"]}**.

{cards}

The question names no place. {link(deeper)} takes the special tokens away, one at a time, and shows which decoded token
becomes less likely without which of them. Each is judged behind the decoded words before it: where a column stays
empty, those words are enough.

{causes}"""


def requests(walker: Walker) -> str:
    """A harmful request and its harmless look-alike."""
    views = [f"decoded?{text(one)}" for one in (HARMFUL, HARMLESS)]
    harmful = walker.open(views[0])
    first = walker.cut("walk-harmful", CARDS, "The harmful request decodes to a refusal")
    harmless = walker.open(views[1])
    second = walker.cut("walk-harmless", CARDS, "The look-alike decodes to an answer")
    way = f"decoded?{text(HARMFUL)}&walk=true&to={quote_plus(HARMLESS)}"
    steps = walker.open(way, lambda page: page.wait_for_selector(".wb-steps"))["steps"]
    third = walker.cut("walk-between", [".wb-steps"], "From the one to the other in seven steps")
    shares = [row[0] for row in steps]
    kept = [row[1] == steps[0][1] for row in steps]
    turn = shares[kept.index(False)] if False in kept else "the end"
    return f"""## A harmful request, and one that only looks alike

{link(views[0])}: *{HARMFUL}* The embedding decodes to “{harmful["readings"][1]}”: it holds the refusal, and nothing
that would help. Read back, a refusal embeds elsewhere than the request did, so the round trip is
{harmful["figures"]["Round trip"]} and the badge **{harmful["figures"]["Trust"]}**.

{first}

{link(views[1])}: *{HARMLESS}* begins with the same words and decodes to “{harmless["readings"][1]}” (round trip
{harmless["figures"]["Round trip"]}, badge **{harmless["figures"]["Trust"]}**).

{second}

{link(way)} goes from the one to the other: the reading is the refusal, word for word, up to where it changes, at
{turn} of the way.

{third}"""


def two_hops(walker: Walker) -> str:
    """A question over two hops."""
    view = f"decoded?{text(HOPS)}"
    said = walker.open(view)
    cards = walker.cut("walk-two-hops", CARDS, "The entity in the middle stands in the decoded text")
    place = f"neighbourhoods?{text(HOPS)}"
    near = walker.open(place, lambda page: page.wait_for_selector(".wb-list"))["nearest"]
    picture = walker.cut(
        "walk-two-hops-map", [".js-plotly-plot", ".wb-card.accent", ".wb-list"], "Its place on the map"
    )
    return f"""## Two hops

{link(view)}: *{HOPS}* The question never says France. The embedding decodes to “{said["readings"][1]}” (round trip
{said["figures"]["Round trip"]}, badge **{said["figures"]["Trust"]}**): the step in between is in the vectors too.

{cards}

{link(place)} places it among the texts of the map. The three nearest are “{near[0]}”, “{near[1]}” and “{near[2]}”.

{picture}"""


def nobodys(walker: Walker) -> str:
    """A vector that nobody encoded."""
    view = "decoded?bare=true"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", DIFFERENCE], cwd=folder, check=True)
        vector = Path(folder) / "vector.npy"

        def upload(page: Page) -> None:
            page.locator(".st-key-vectors input[type=file]").set_input_files(vector)
            page.get_by_text("The vector decodes to", exact=True).wait_for()
            screenshots.settle(page)

        plain = walker.open(view, upload)
        picture = walker.cut("walk-nobodys", [".st-key-bare"], "The vector, read through the lifter")
        searched = walker.open(f"{view}&search=true", upload)
    better = f"Here it finds “{searched['readings'][-1]}” ({searched['notes'][-1]})."
    found = better if searched["notes"][-1] != plain["notes"][-1] else "Here that is the same one."
    return f"""## A vector that nobody encoded

A question about a capital, less one about a continent, plus the same of another country: no text was encoded to this.

```python
{DIFFERENCE}```

{link(view)} opens *Read a bare vector*: upload `vector.npy` there, or read it with
`workbench decode --vectors vector.npy`. A lifter, trained to read a pooled vector alone, turns it into soft prompts,
and the model says “{plain["readings"][-1]}” ({plain["notes"][-1]}).

{picture}

The switch *Search for a reading that leads back* ({link(f"{view}&search=true")}, or `--search 2`) reads what lies near
the vector too and keeps the reading whose own embedding comes closest. {found}"""
