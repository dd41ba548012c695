"""What the command line says on stderr: errors, counts, progress with rate and time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workbench.processes import here, who


def error_line(message: str) -> None:
    """`message` as one line on stderr; of several processes, all but the first say which they are."""
    sys.stderr.write(
        f"workbench: {who()}{' '.join(message.split())}\n"
    )  # at once: others may write to it too
    sys.stderr.flush()


def note(message: str) -> None:
    """Something a user should know; the work goes on. Of several processes, the first says it."""
    if here().first:
        error_line(message)


def note_truncated(truncated: int, total: int, what: str = "texts") -> None:
    """Says how many texts lost their tail; silent when none did."""
    if truncated:
        note(f"{truncated} of {total} {what} longer than the limit lost their tail")


def note_left_out(left_out: dict[str, int], source: str) -> None:
    """Says how many rows of a source were left out, by reason; silent when none were."""
    for reason, count in left_out.items():
        note(f"{source}: {count} row{'s' * (count > 1)} left out ({reason})")


@contextmanager
def progress(label: str, total: int, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left; gives a function that takes (done, total).

    Of several processes, the first shows its own part.
    """
    from tqdm import tqdm

    with tqdm(
        total=total, desc=label, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True, leave=False,
        disable=not here().first,
    ) as bar:  # fmt: skip

        def to(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield to


def note_responses(meta: dict[str, Any], total: int) -> None:
    """Says how many queries lost their tail and how many responses were cut off or came back empty."""
    note_truncated(meta.get("truncated", 0), total, "queries")
    if unfinished := meta.get("unfinished", 0):
        note(f"{unfinished} of {total} responses were cut off at the limit of new tokens")
    if empty := meta.get("empty", 0):
        note(f"{empty} of {total} responses are empty")
