"""What every program must fulfil: all ways to run it give the same bits, and these are accurate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from anacc.program.image import Image
from anacc_runtime import ConversionNoise, _kernel
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor

Array = npt.NDArray[Any]
Results = dict[str, Array]

PRECISE = """\
inherit = "hermes"
[adc]
levels_per_phase = 2000
full_scale_cells = [6.0, 24.0, 48.0]
"""
"""A chip whose converters are so fine and wide that only the 8-bit codes limit the accuracy."""


def precise_target(folder: Path) -> Path:
    """Write the target file of `PRECISE`."""
    path = folder / "precise.toml"
    path.write_text(PRECISE, encoding="utf-8")
    return path


def onnx_results(model: onnx.ModelProto | Path, feed: Mapping[str, Array]) -> Results:
    """What ONNX Runtime computes in float32."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def split(image: Image, feed: Mapping[str, Array], sizes: Iterable[int]) -> Iterable[Results]:
    """The feed in pieces of the given numbers of samples."""
    axes = {port.name: port.batch_axis for port in image.manifest.inputs}
    start = 0
    for size in sizes:
        taken = range(start, start + size)
        yield {
            name: array if axes[name] is None else np.take(array, taken, axis=axes[name])
            for name, array in feed.items()
        }
        start += size


def joined(image: Image, parts: list[Results]) -> Results:
    """Results of consecutive pieces, as one."""
    axes = {port.name: port.batch_axis for port in image.manifest.outputs}
    return {
        name: np.concatenate([part[name] for part in parts], axis=axes[name]) for name in parts[0]
    }


def samples(image: Image, feed: Mapping[str, Array]) -> int | None:
    """How many samples a feed has; None where the program fixes that, or no input tells."""
    if image.manifest.batch is not None:
        return None
    for port in image.manifest.inputs:
        if port.batch_axis is not None:
            return int(feed[port.name].shape[port.batch_axis])
    return None


def assert_same_bits(image: Image, feed: Mapping[str, Array]) -> Results:
    """Run a program in every way; all must give the same bits.

    Returns:
        The results.
    """
    expected = Executor(image).run(feed)
    for isa in _kernel.isas():
        # Threads share even the smallest layer; three of them unless the batch is a multiple of 3.
        executor = NativeExecutor(image, isa=isa, least_work=0)
        for threads in (1, 2, 3):
            assert_equal(executor.run(feed, threads), expected, f"{isa}, {threads} threads")
        executor.close()
    noise = ConversionNoise(2.0)
    noisy = Executor(image).run(feed, noise=noise)
    assert_equal(NativeExecutor(image).run(feed, 1, noise), noisy, "noise")
    # One sample at a time: the memory that a part of the batch may take is exceeded at once.
    assert_equal(Executor(image, memory=1).run(feed), expected, "reference, sample by sample")
    assert_equal(NativeExecutor(image, memory=1).run(feed), expected, "native, sample by sample")
    count = samples(image, feed)
    if count is not None and count > 1:
        executor = NativeExecutor(image)
        for sizes in ((1, count - 1), (1,) * count):
            parts = [executor.run(part) for part in split(image, feed, sizes)]
            assert_equal(joined(image, parts), expected, f"pieces of {sizes} samples")
    return expected


def assert_equal(found: Results, expected: Results, how: str) -> None:
    """Compare bit for bit: -0.0 is not 0.0."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        other = found[name]
        assert (other.dtype, other.shape) == (array.dtype, array.shape), how
        assert other.tobytes() == array.tobytes(), f"{how}: `{name}` differs from the reference"


def assert_accurate(found: Results, expected: Results, noise: float, least: float = 0.0) -> None:
    """Every output is what ONNX Runtime computes, but for the rounding to 8 bits.

    Args:
        found: results of a program whose converters neither clip nor round noticeably.
        expected: results of ONNX Runtime.
        noise: how large the error may be: its root mean square over the standard deviation of the
            output, or 1/8 of that over the largest magnitude of the output, for outputs that are
            nearly constant or have rare peaks.
        least: an error that is allowed in any case.

    A code errs by an LSB / sqrt(12), an LSB being 1/127 of the largest magnitude of a tensor: by
    0.23 % of that, or 1 % of the root mean square of a tensor with peaks of 4.4 times that.  A
    layer has such an error in its input, its weights and its converter: 1.7 % together.  Errors of
    a chain of layers add up as squares; where large terms cancel, they stay while the signal goes.
    Elements in the wrong order, in contrast, err by 141 %, and if only every tenth is wrong, by
    45 %.
    """
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        exact = array.astype(np.float64)
        error = float(np.sqrt(np.mean((found[name] - exact) ** 2)))
        size = max(float(np.std(exact)), float(np.max(np.abs(exact))) / 8)
        bound = max(noise * size, least)
        assert error <= bound, f"`{name}` errs by {error:.3g}, more than {bound:.3g}"
