"""Whether the running app answers over HTTP, and whether its first page renders without an exception."""

import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from streamlit.testing.v1 import AppTest

START_UP = 60  # seconds until the server must answer
FIRST_PAGE = 120  # seconds until the first page must be there, on a busy machine


def fetch(address: str) -> str:
    """The body behind an address, once the server is up."""
    deadline = time.monotonic() + START_UP
    while True:
        try:
            with urlopen(address, timeout=10) as answer:
                return answer.read().decode("utf-8")
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main(port: str) -> None:
    """Ask the server, then render the first page."""
    health = fetch(f"http://localhost:{port}/_stcore/health")
    assert health == "ok", health
    assert "<title>Streamlit</title>" in fetch(f"http://localhost:{port}/")
    started = time.monotonic()
    page = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=FIRST_PAGE).run()
    assert not page.exception, [exception.message for exception in page.exception]
    assert page.main.children, "the first page is empty"
    print(f"the app answers; its first page rendered in {time.monotonic() - started:.1f} s")


main(sys.argv[1])
