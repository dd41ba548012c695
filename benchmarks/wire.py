"""How a benchmark speaks with a contender in another process or interpreter: one JSON object a line, both ways.

Requests go through its stdin; answers come through a pipe of their own, so that libraries may print what they like.
Imports nothing beyond Python: the other interpreter has neither this project nor its libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[1]
"""Where `python -m benchmarks...` runs."""
ANSWERS = "WORKBENCH_ANSWERS"
"""The environment variable that holds the number of the pipe."""


class Peer:
    """The other side: a process that answers requests until its input is closed."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.name = " ".join(command)
        answers, write = os.pipe()
        self._answers = os.fdopen(answers)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=2,  # what it prints is not this process's output
            pass_fds=(write,),
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment, ANSWERS: str(write)},
        )
        os.close(write)

    def ask(self, do: str, **request: Any) -> Any:
        """What the other side answers; SystemExit with its own words where it failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SystemExit(f"{self.name} has ended; its own words stand above") from None
        line = self._answers.readline()
        if not line:
            raise SystemExit(f"{self.name} ended during {do!r}; its own words stand above")
        answer = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{self.name} failed at {do!r}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        """Close its input, upon which it ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._answers.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(methods: dict[str, Callable[..., Any]]) -> None:
    """Answer requests from stdin until it ends."""
    with os.fdopen(int(os.environ[ANSWERS]), "w") as answers:
        answer_all(sys.stdin, answers, methods)


def answer_all(requests: TextIO, answers: TextIO, methods: dict[str, Callable[..., Any]]) -> None:
    """One answer a request: what the method returns, or the error that it raised."""
    for line in requests:
        request = json.loads(line)
        try:
            answer = {"answer": methods[request.pop("do")](**request)}
        except Exception as error:  # the other side decides what an error of ours means
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
