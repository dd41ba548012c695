"""`workbench app`: starts the Streamlit app on this machine."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import WorkbenchError

PACKAGE = Path(__file__).resolve().parents[1]
SETTINGS = (
    "--server.maxUploadSize=50",
    "--server.enableXsrfProtection=true",
    "--server.enableCORS=true",
    "--browser.gatherUsageStats=false",
    "--client.showErrorDetails=none",
)
"""What `.streamlit/config.toml` says in a checkout, for an app that is started anywhere."""


def serve(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port to listen on.")] = 8501,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser.")] = False,
) -> int:
    """Open the app in the browser; it listens on this machine only."""
    flags = [
        "--server.address=localhost",
        f"--server.port={port}",
        f"--server.headless={str(headless).lower()}",
        *SETTINGS,
    ]
    return subprocess.call([sys.executable, "-m", "streamlit", "run", str(script()), *flags])


def script() -> Path:
    """The app's script: `app.py` beside the package in a checkout, inside the package in a wheel."""
    places = [PACKAGE.parent / "app.py", PACKAGE / "_app.py"]
    for place in places:
        if place.is_file():
            return place
    raise WorkbenchError(f"the app's script is not there; looked at {', '.join(map(str, places))}")
