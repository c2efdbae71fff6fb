"""Streaming models: state that goes out at one step and comes in again at the next.

A stream is {input name: array}, its leading axis the step; what each step takes is a feed.  States
are {input name: name of the output that feeds it}.  They begin with zeros, or with what the stream
holds for them, an array without the axis of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from anacc.errors import FeedError, UsageError
from anacc.feeds import Array, Arrays, Port
from anacc.host_values import element_type, is_tensor

Run = Callable[[Arrays], Mapping[str, Array]]
"""Runs a model on a feed and gives its outputs by name."""


def parse_states(pairs: Sequence[str]) -> dict[str, str]:
    """Return the states that `INPUT=OUTPUT` options name.

    Raises:
        UsageError: a pair has another form, or an input is given twice.
    """
    states: dict[str, str] = {}
    for pair in pairs:
        name, separator, output = pair.rpartition("=")
        if not (separator and name and output):
            raise UsageError(f"`--state {pair}` is not of the form `INPUT=OUTPUT`")
        if name in states:
            raise UsageError(f"`--state` gives input `{name}` twice")
        states[name] = output
    return states


def check_states(
    states: Mapping[str, str], inputs: Sequence[Port], outputs: Sequence[Port]
) -> None:
    """Refuse states that the model cannot have, before anything runs.

    Args:
        states: for some inputs the name of the output that feeds them.
        inputs: of the model.
        outputs: of the model.

    Raises:
        UsageError: a state names an input or an output that the model does not have,
            or an output of another element type or shape than the input that it feeds.
    """
    takes, gives = ({port.name: port for port in ports} for ports in (inputs, outputs))
    for name, output in states.items():
        if name not in takes:
            raise UsageError(
                f"the model has no input `{name}` that could be a state", _listed(takes)
            )
        if output not in gives:
            raise UsageError(f"the model has no output `{output}` to feed `{name}`", _listed(gives))
        into, out = takes[name], gives[output]
        if into.dtype != out.dtype:
            raise UsageError(
                f"output `{output}` of type {out.dtype} cannot feed `{name}` of type {into.dtype}"
            )
        sizes = zip(out.shape, into.shape, strict=False)
        if len(out.shape) != len(into.shape) or any(
            a != b for a, b in sizes if a is not None and b is not None
        ):
            raise UsageError(
                f"output `{output}` of shape {_shape(out)} cannot feed `{name}` of shape "
                f"{_shape(into)}"
            )


def steps(
    run: Run, stream: Mapping[str, Array], inputs: Sequence[Port], states: Mapping[str, str]
) -> Iterator[tuple[Arrays, Mapping[str, Array]]]:
    """Run a model step by step, its states fed back.

    Args:
        run: runs the model on one feed.
        stream: for each input that is no state an array (steps, *shape), and for any state where
            it begins, (*shape).
        inputs: of the model.
        states: for some inputs the name of the output that feeds them.

    Yields:
        the feed and the outputs of each step.

    Raises:
        FeedError: an array is missing or superfluous, the arrays differ in their number of steps,
            or an output has another shape than the state that it feeds.
        UsageError: a state names an input or an output that the model does not have.
    """
    count = _count(stream, inputs, states)
    state = {name: _beginning(stream, inputs, name) for name in states}
    for step in range(count):
        feed = {port.name: stream[port.name][step] for port in inputs if port.name not in states}
        feed |= state
        outputs = run(feed)
        for name, output in states.items():
            if output not in outputs:
                raise UsageError(
                    f"the model has no output `{output}` to feed `{name}`", _listed(outputs)
                )
            if not isinstance(outputs[output], np.ndarray):
                raise FeedError(f"output `{output}` is no tensor, and cannot feed `{name}`")
            if outputs[output].shape != state[name].shape:
                raise FeedError(
                    f"output `{output}` of shape {outputs[output].shape} cannot feed `{name}` of "
                    f"shape {state[name].shape}"
                )
            state[name] = outputs[output]
        yield feed, outputs


def stacked(outputs: Iterable[Mapping[str, Array]]) -> Arrays:
    """Return the outputs of all steps by name, (steps, *shape) each."""
    collected: dict[str, list[Array]] = {}
    for each in outputs:
        for name, array in each.items():
            collected.setdefault(name, []).append(array)
    return {name: np.stack(arrays) for name, arrays in collected.items()}


def _count(stream: Mapping[str, Array], inputs: Sequence[Port], states: Mapping[str, str]) -> int:
    names = [port.name for port in inputs]
    for name in states:
        if name not in names:
            raise UsageError(
                f"the model has no input `{name}` that could be a state", _listed(names)
            )
    for name in stream:
        if name not in names:
            raise FeedError(f"the model has no input `{name}`", _listed(names))
    for port in inputs:
        if not is_tensor(port.dtype):
            raise FeedError(f"input `{port.name}` is of type {port.dtype}, which has no steps")
    counts: dict[str, int] = {}
    for name in names:
        if name in states:
            continue
        if name not in stream:
            raise FeedError(f"the stream holds no array `{name}`", _listed(stream))
        counts[name] = len(stream[name]) if stream[name].ndim else 0
    if not counts:
        raise FeedError("no input but states: nothing says how many steps there are")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of `{name}`" for name, count in counts.items())
        raise FeedError(f"the arrays of the stream differ in their number of steps: {listed}")
    return next(iter(counts.values()))


def _beginning(stream: Mapping[str, Array], inputs: Sequence[Port], name: str) -> Array:
    if name in stream:
        return np.asarray(stream[name])
    port = next(port for port in inputs if port.name == name)
    batch = next(
        (
            stream[other.name].shape[1 + other.batch_axis]
            for other in inputs
            if other.batch_axis is not None
            and other.name in stream
            and stream[other.name].ndim > 1 + other.batch_axis
        ),
        1,
    )
    return np.zeros(
        [batch if size is None else size for size in port.shape], element_type(port.dtype)
    )


def _shape(port: Port) -> str:
    return "(" + ", ".join("N" if size is None else str(size) for size in port.shape) + ")"


def _listed(names: Iterable[str]) -> str:
    return "there is " + (", ".join(f"`{name}`" for name in names) or "nothing")
