"""Versions as files record them."""

from importlib.metadata import version

from workbench.libraries import versions


def test_what_is_not_installed_has_a_word_of_the_file():
    torch = version("torch")
    assert versions(["torch", "no-such-library"]) == {"torch": torch, "no-such-library": "source"}
    assert versions(["no-such-library"], absent="not installed") == {"no-such-library": "not installed"}
