"""The decoded samples of a training run that was watched: how they come to say what the response says."""

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean
from typing import NamedTuple

from workbench.decoding.differences import Differences, differences
from workbench.training.watched import Sample


class Stretch(NamedTuple):
    """The steps from `first` to `last` at which a query was looked at and decoded to the same text."""

    first: int
    last: int
    decoded: str
    compared: Differences
    """The response on the left, the decoded text on the right."""
    cosine: float | None
    """At the last of these steps, see `Sample`."""


class Progress(NamedTuple):
    """The samples of a step, on average."""

    step: int
    shared: float | None
    """Words shared with the response, from 0 to 1 (`Differences.shared`); None where no sample has a response."""
    cosine: float | None
    """Of embedding and the teacher's vector of the response; None where no sample has one."""


def stretches(samples: Sequence[Sample], row: int) -> list[Stretch]:
    """What one query decoded to over the steps; steps with the same text become one stretch."""
    own = sorted((sample for sample in samples if sample.row == row), key=lambda sample: sample.step)
    runs = (list(run) for _, run in groupby(own, key=lambda sample: sample.decoded))
    return [
        Stretch(
            run[0].step,
            run[-1].step,
            run[-1].decoded,
            differences(run[-1].response, run[-1].decoded),
            run[-1].cosine,
        )
        for run in runs
    ]


def progress(samples: Sequence[Sample]) -> list[Progress]:
    """How close the samples are to their responses, step by step."""
    ordered = sorted(samples, key=lambda sample: sample.step)
    return [
        Progress(
            step,
            _mean([shared(sample) for sample in at_step]),
            _mean([sample.cosine for sample in at_step]),
        )
        for step, at_step in ((step, list(run)) for step, run in groupby(ordered, key=lambda one: one.step))
    ]


def shared(sample: Sample) -> float | None:
    """Words that a sample shares with the response, from 0 to 1; None where there is no response."""
    return differences(sample.response, sample.decoded).shared if sample.response.strip() else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
