"""An error carries its exit code; a mismatch names both sides."""

from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError


def test_exit_codes():
    assert (WorkbenchError.exit_code, UsageError.exit_code, FingerprintMismatch.exit_code) == (1, 2, 1)


def test_a_mismatch_names_both_sides_and_cuts_hashes_only():
    error = FingerprintMismatch("runs/a", "weights", "a" * 64, "b" * 64)
    assert "its weights is aaaaaaaaaaaa..., but bbbbbbbbbbbb... is loaded" in str(error)
    assert "runs/a" in str(error)
    assert (error.part, error.saved, error.loaded) == ("weights", "a" * 64, "b" * 64)
    name = "an-owner/a-rather-long-name-of-a-model"
    assert name in str(FingerprintMismatch("x", "backbone", name, "fieldguide"))
