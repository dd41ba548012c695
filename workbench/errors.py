"""The errors that a user sees: one clear line and the exit code that the command line ends with."""


class WorkbenchError(Exception):
    """The work failed: empty or malformed content, a mismatch, a full disk. Exit code 1."""

    exit_code = 1


class UsageError(WorkbenchError):
    """What was asked for must change: a missing file, an unknown column, option, backbone or path. Exit code 2."""

    exit_code = 2


class FingerprintMismatch(WorkbenchError):
    """An artifact or a store was made with another backbone, tokenizer or template than the one at hand."""

    def __init__(self, what: str, part: str, saved: str, loaded: str, remedy: str = "") -> None:
        """Names `what` does not fit, which `part` of the fingerprint differs, both sides of it, and what to do."""
        does = f"; {remedy}" if remedy else ""
        super().__init__(
            f"{what} does not fit: its {part} is {_short(saved)}, but {_short(loaded)} is loaded{does}"
        )
        self.part, self.saved, self.loaded = part, saved, loaded


def _short(side: str) -> str:
    """A hash cut to what a person compares; names stay whole."""
    is_hash = len(side) >= 32 and all(letter in "0123456789abcdef" for letter in side)
    return f"{side[:12]}..." if is_hash else side
