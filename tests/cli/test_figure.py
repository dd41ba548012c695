"""`workbench figure`: draws from results, lists, and says in one line what it cannot do."""

import errno
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.figures.paper.registry import FIGURES, figure_named
from workbench.figures.paper.results import save_results


@pytest.fixture
def shipped_results(tmp_path, monkeypatch):
    """A shipped folder of figures with the results of one."""
    results = {
        "figure": "attribution", "command": "python -m analyses.attribution", "artifacts": {}, "libraries": {},
        "data": {"labels": ["◆1"], "tokens": ["a", "b"], "values": [[1.0, -1.0]], "predicted": [0.5], "real": [1.0]},
        "numbers": {"text": "a", "decoded": "b", "queries": 2, "effects": 6, "shown": 4, "correlation": 0.5,
                    "low": 0.1, "high": 0.9, "control": 0.0, "control_low": -0.1, "control_high": 0.1},
    }  # fmt: skip
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    save_results(tmp_path / "data" / "figures" / "attribution.json", results)
    return tmp_path / "data" / "figures" / "attribution.json"


def test_a_figure_is_drawn_from_shipped_results(shipped_results, tmp_path, capsys):
    output = tmp_path / "mine"
    asked = [
        "figure",
        "attribution",
        "--venue",
        "neurips",
        "--width",
        "column",
        "--output",
        str(output),
        "--png",
    ]
    assert main(asked) == 0
    said = capsys.readouterr()
    assert "rank correlation 0.500 [0.100, 0.900]" in " ".join(said.out.split())
    assert "pdf, svg, png, json" in said.err
    assert sorted(path.suffix for path in output.iterdir()) == [".json", ".pdf", ".png", ".svg"]
    assert 'width="396pt"' in (output / "attribution.svg").read_text(encoding="utf-8")  # 5.5 inches


def test_own_results_are_drawn_the_same(shipped_results, tmp_path):
    own = tmp_path / "own.json"
    own.write_bytes(shipped_results.read_bytes())
    for name, options in (("a", []), ("b", ["--results", str(own)])):
        assert main(["figure", "attribution", *options, "--output", str(tmp_path / name)]) == 0
    for kind in ("pdf", "svg", "json"):
        files = [(tmp_path / name / f"attribution.{kind}").read_bytes() for name in ("a", "b")]
        assert files[0] == files[1]


def test_the_list_names_every_figure_and_what_measures_it(shipped_results, capsys):
    assert main(["figure", "--list"]) == 0
    said = capsys.readouterr().out
    for figure in FIGURES:
        assert figure.title in said
        assert figure.command in said
    assert said.count("(no results yet)") == len(FIGURES) - 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "name one figure, or give --all or --list"),
        (["attribution", "--all"], "name one figure, or give --all or --list"),
        (["mona_lisa"], "no figure mona_lisa: there are gem_mask"),
        (["gem_mask"], "`python -m analyses.gem_mask` measures them"),
        (["--all"], "measures them"),
        (["--all", "--results", "x.json"], "--results belongs to one figure"),
        (["attribution", "--venue", "nature"], "venues are acl, neurips, icml, iclr"),
        (["attribution", "--width", "poster"], "widths column and page"),
        (["attribution", "--results", "nothing.json"], "no results at nothing.json"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(shipped_results, tmp_path, capsys, asked, message):
    assert main(["figure", *asked, "--output", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_an_output_that_is_a_file_is_refused(shipped_results, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert main(["figure", "attribution", "--output", str(tmp_path / "file")]) == 2
    assert "not a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_results_of_another_figure_are_refused(shipped_results, tmp_path, capsys):
    assert (
        main(["figure", "gem_mask", "--results", str(shipped_results), "--output", str(tmp_path / "o")]) == 1
    )
    assert "holds results of the figure attribution, not of gem_mask" in capsys.readouterr().err
    assert figure_named("gem_mask").name == "gem_mask"


BAD_NUMBERS = {
    "digits": ("1" * 6000, "not valid JSON (Exceeds the limit"),
    "nan": ("NaN", "results.numbers.more is nan, not a finite number"),
    "beyond": ("[0, -1e999]", "results.numbers.more[1] is -inf, not a finite number"),
    "half": (r'"\ud800"', r"results.numbers.more is '\ud800', not whole characters"),
    "half name": (r'{"\ud800": 1}', r"a name in results.numbers.more is '\ud800', not whole characters"),
    "deep": ("[" * 900 + "]" * 900, "nested too deeply"),
}


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_results_that_no_file_can_hold_are_refused_and_leave_the_figure(
    shipped_results, tmp_path, capsys, name
):
    value, message = BAD_NUMBERS[name]
    asked = ["figure", "attribution", "--output", str(tmp_path / "o")]
    assert main(asked) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "o").iterdir()}
    bad = tmp_path / "bad.json"
    bad.write_text(shipped_results.read_text().replace('"numbers": {', f'"numbers": {{"more": {value},'))
    capsys.readouterr()
    assert main([*asked, "--results", str(bad)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"workbench: {bad}")
    assert message in told
    assert told.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "o").iterdir()} == before


def test_half_a_character_in_what_is_drawn_is_refused(shipped_results, tmp_path, capsys):
    bad = tmp_path / "bad.json"
    bad.write_text(shipped_results.read_text().replace('"◆1"', r'"\ud800"'))
    asked = ["figure", "attribution", "--results", str(bad), "--output", str(tmp_path / "o")]
    assert main(asked) == 1
    assert r"data.labels[0] is '\ud800', not whole characters" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_disk_that_is_full_halfway_leaves_all_files_of_the_figure(
    shipped_results, tmp_path, capsys, monkeypatch
):
    asked = ["figure", "attribution", "--output", str(tmp_path / "o")]
    assert main([*asked, "--width", "column"]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "o").iterdir()}
    write = Path.write_bytes

    def full_at_the_last(path, data):
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_at_the_last)
    capsys.readouterr()
    assert main(asked) == 1
    assert capsys.readouterr().err == f"workbench: No space left on device: {tmp_path / 'o'}\n"
    assert {path: path.read_bytes() for path in (tmp_path / "o").iterdir()} == before
