"""The command `workbench`: its commands, and how an error becomes one line and an exit code."""

import os
import sys
from collections.abc import Sequence

import typer

from workbench.cli import (
    arithmetic,
    atlas,
    convert,
    decode,
    doctor,
    embed,
    evaluate,
    fieldguide,
    figure,
    lens,
    push,
    report,
    respond,
    serve,
    train,
)
from workbench.cli.say import error_line
from workbench.errors import UsageError, WorkbenchError
from workbench.processes import alone, here, leave

INTERRUPTED = 130
SHARED = (("respond",), ("embed",), ("train", "llm2vec-gen"), ("train", "gem"), ("train", "lifter"))
"""Commands that several processes can share; docs/scale.md."""
ABOUT = "Embeddings that a frozen language model writes and reads again: train, embed, decode, look."

app = typer.Typer(
    name="workbench",
    help=ABOUT,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("respond")(respond.respond)
app.add_typer(train.app, name="train")
app.command("embed")(embed.embed)
app.command("decode")(decode.decode)
app.add_typer(arithmetic.app, name="arithmetic")
app.add_typer(atlas.app, name="atlas")
app.command("convert")(convert.convert)
app.command("doctor")(doctor.doctor)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(fieldguide.app, name="fieldguide")
app.command("figure")(figure.figure)
app.add_typer(lens.app, name="lens")
app.command("push")(push.push)
app.command("report")(report.report)
app.command("app")(serve.serve)


def _print_version(wanted: bool) -> bool:
    if wanted:
        from workbench import __version__

        print(__version__)
        raise typer.Exit
    return False


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Options before the command; the docstring of the app is `ABOUT`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code; one of several processes that met ends with it here.

    0: done; 1: the work failed; 2: the command line must change; 130: interrupted. Errors are one line on stderr.
    """
    code = _answer(arguments)
    leave(code)
    return code


def _answer(arguments: Sequence[str] | None) -> int:
    """`main`, but for how it ends."""
    try:
        code = _invoke(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        return code
    except WorkbenchError as error:
        error_line(str(error))
        return error.exit_code
    except typer.TyperException as error:
        error_line(f"{error.format_message().removesuffix('.')}; see --help")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        error_line("interrupted; run the same command again to resume")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has gone
        return 0
    except UnicodeEncodeError as error:
        shown = ascii(str(error.object)[max(error.start - 20, 0) : error.start + 20])
        error_line(
            f"this holds half a character (bytes that are not UTF-8), which cannot be written: {shown}"
        )
        return UsageError.exit_code
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        error_line(f"{error.strerror or error}{where}")
        return 1
    except MemoryError:
        error_line("out of memory; a smaller --batch-size needs less")
        return 1


def _invoke(arguments: list[str]) -> int:
    """Runs the command that the arguments name; its own `main` would answer some errors before we can."""
    here()  # refuses, before anything is loaded, a launch that cannot give what it promises
    if not any(tuple(arguments[: len(words)]) == words for words in SHARED):
        alone(f"workbench {' '.join(word for word in arguments[:2] if not word.startswith('-'))}".strip())
    command = typer.main.get_command(app)
    try:
        with command.make_context("workbench", arguments) as context:
            code = command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    return code if isinstance(code, int) else 0
