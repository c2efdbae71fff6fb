"""A metric of a program over a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anacc.api import Executor, Program
from anacc.dataset import batches, sample_count
from anacc.errors import UsageError
from anacc.feeds import Arrays, Stored
from anacc.meters import LABEL, ErrorMeter, Meter, Top1Meter

METRICS = ("top1", "snr", "mse")
DEFAULT_BATCH = 32


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and on how many samples."""

    meter: Meter
    samples: int


def evaluate(
    program: Program,
    data: Stored,
    metric: str,
    *,
    reference: Callable[[Arrays], Arrays] | None = None,
    batch_size: int | None = None,
    executor: Executor = "native",
    on_samples: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run a program over a data set and measure it.

    Args:
        program: the program.
        data: arrays by input name, samples along the first axis; for `top1` also `label`; for
            `snr` and `mse` maybe outputs to compare with.
        metric: one of `METRICS`.
        reference: gives the outputs to compare with for a batch; None: nothing but what is stored.
        batch_size: samples in one run; None: the program's fixed batch, or `DEFAULT_BATCH`.
        executor: as for `Program.run`.
        on_samples: called after each batch with the samples that it had, and those of all.

    Raises:
        UsageError: there is nothing to compare with, or the program's batch is another one.
        FeedError: the data do not fit the program.
    """
    size = _batch_size(batch_size, program.image.manifest.batch)
    label = LABEL if metric == "top1" else None
    samples = sample_count(data.feed, program.inputs, label)
    meter: Meter
    if label is None:
        meter = ErrorMeter(metric, program.outputs, data.reference)
    else:
        meter = Top1Meter(program.outputs, data.feed[label])
    for batch in batches(data.feed, program.inputs, size, label):
        outputs = program.run(batch.feed, executor=executor)
        meter.add(batch, outputs, None if reference is None else reference(batch.feed))
        if on_samples is not None:
            on_samples(batch.count, samples)
    return Evaluation(meter, samples)


def _batch_size(wanted: int | None, fixed: int | None) -> int:
    if fixed is not None and wanted not in (None, fixed):
        raise UsageError(
            f"the program has a fixed batch of {fixed}, not {wanted}", "leave `--batch-size` out"
        )
    return fixed or wanted or DEFAULT_BATCH
