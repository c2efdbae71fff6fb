"""The ONNX backend interface: what speaks `onnx.backend.base` can run its models on anacc.

::

    import anacc.onnx_backend as backend

    prepared = backend.prepare(model, target="hermes", calibration={"x": images})
    (scores,) = prepared.run([images])

This interface has no place for calibration data, and tools that speak it give none.  Without them
a model is compiled at its first run, whose inputs then set the scales of activations.

Weights that are fed as inputs stay on the host, which `anacc.baking` explains.  `prepare` takes
arrays to bake, and `run_model` and `run_node` bake what the caller names, or all parameters::

    (y,) = backend.run_node(helper.make_node("MatMul", ["x", "w"], ["y"]), [x, w], bake=True)
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TypeProto, defs, helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType, namedtupledict

from anacc.api import Executor, Feed, Program
from anacc.api import compile as compile_model
from anacc.baking import bake as bake_model
from anacc.baking import parameter_inputs
from anacc.errors import AnaccError, FeedError, UsageError
from anacc.frontend.reading import read
from anacc.host_values import as_value
from anacc_runtime.noise import ConversionNoise

Inputs = Mapping[str, Any] | Sequence[Any] | npt.NDArray[Any]
"""Values by name, or in the order of the model's inputs; a single array is a sequence of one."""

_OPTIONS = set(inspect.signature(compile_model).parameters) - {"model", "calibration"}
_RUN_OPTIONS = {"executor", "threads", "noise"}


class AnaccRep(BackendRep):
    """A model that is prepared to run; made by `prepare`.

    Attributes:
        program: what runs; None before it is compiled.
    """

    def __init__(
        self,
        model: ModelProto,
        calibration: Feed | Iterable[Feed] | None,
        options: Mapping[str, Any],
    ) -> None:
        self._model = model
        self._options = options
        self._inputs = _input_names(model)
        self._outputs = [entry.name for entry in model.graph.output]
        self.program: Program | None = None
        if calibration is not None:
            self.program = compile_model(model, calibration=calibration, **options)

    def run(
        self,
        inputs: Inputs,
        *,
        executor: Executor = "native",
        threads: int | None = None,
        noise: ConversionNoise | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of the model, in its order; by name they can be asked for, too.

        Args:
            inputs: of the model, without those that were baked.
            executor, threads, noise: see `anacc.Program.run`.

        Raises:
            AnaccError: as `anacc.Program.run`, and at the first run as `anacc.compile`.
        """
        _refuse(kwargs, _RUN_OPTIONS)
        feed = _feed(inputs, self._inputs)
        if self.program is None:
            self.program = compile_model(self._model, calibration=feed, **self._options)
        found = self.program.run(feed, executor=executor, threads=threads, noise=noise)
        names = namedtupledict("Outputs", self._outputs)
        return names(*(found[name] for name in self._outputs))


class AnaccBackend(Backend):
    """anacc as an ONNX backend; see the module's docstring."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether a model is valid ONNX of an operator set that is known, and there is the device.

        What the chip cannot do, ONNX Runtime does: so all else shows when the model is compiled.
        """
        try:
            read(model)
        except AnaccError:
            return False
        return cls.supports_device(device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on a device: the chip is simulated on the CPU, `CPU`."""
        try:
            return bool(Device(device).type == DeviceType.CPU)
        except (AttributeError, ValueError):
            return False

    @classmethod
    def prepare(
        cls,
        model: ModelProto,
        device: str = "CPU",
        *,
        calibration: Feed | Iterable[Feed] | None = None,
        baked: Mapping[str, npt.ArrayLike] | None = None,
        **kwargs: Any,
    ) -> AnaccRep:
        """Make a model ready to run.

        Args:
            model: the model.
            device: `CPU`.
            calibration: inputs that set the scales of activations; None: those of the first run.
            baked: inputs that become constants of the program, by name; they are no inputs then.
            kwargs: options of `anacc.compile`: `target`, `read_mode`, `shapes`, ...

        Raises:
            UsageError: there is no such device or option.
            FeedError: an array to bake does not fit the model.
            ModelError: the model is not valid ONNX, or of an operator set that is not known.
            AnaccError: with calibration, as `anacc.compile`.
        """
        if not cls.supports_device(device):
            raise UsageError(
                f"there is no device `{device}`", "choose `CPU`, on which the chip is simulated"
            )
        _refuse(kwargs, _OPTIONS | {"baked", "calibration"})
        read(model)
        return AnaccRep(bake_model(model, baked or {}), calibration, kwargs)

    @classmethod
    def run_model(
        cls,
        model: ModelProto,
        inputs: Inputs,
        device: str = "CPU",
        *,
        bake: bool | Collection[str] = False,
        baked: Mapping[str, npt.ArrayLike] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Compile a model for its inputs, and run it.

        Args:
            model: the model.
            inputs: all of them but those in `baked`.
            device: `CPU`.
            baked: as for `prepare`.
            bake: names of inputs that become constants; True: those that are parameters by
                `anacc.baking.parameter_inputs`.
            kwargs: as for `prepare`.

        Raises:
            AnaccError: as `prepare` and `AnaccRep.run`.
        """
        constants = dict(baked or {})
        feed = _feed(inputs, [name for name in _input_names(model) if name not in constants])
        names = parameter_inputs(model) if bake is True else bake or ()
        for name in sorted({*names} - constants.keys()):
            if name not in feed:
                raise FeedError(f"there is no input `{name}` to bake")
            constants[name] = feed.pop(name)
        return cls.prepare(model, device, baked=constants, **kwargs).run(feed)

    @classmethod
    def run_node(  # type: ignore[override]  # the base class writes its keyword arguments wrongly
        cls,
        node: NodeProto,
        inputs: Inputs,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        *,
        bake: bool | Collection[str] = False,
        opset_version: int | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run a node as a model of its own.

        Args:
            node: the node.
            inputs: values of those of its inputs that are given, in order or by name.
            device: `CPU`.
            outputs_info: not needed: the types of the outputs are inferred.
            bake: as for `run_model`.
            opset_version: of the node's domain; None: the newest that onnx knows.
            kwargs: as for `prepare`.

        Raises:
            AnaccError: as `run_model`.
        """
        names = list(dict.fromkeys(name for name in node.input if name))
        feed = _feed(inputs, names)
        graph = helper.make_graph(
            [node],
            node.name or node.op_type,
            [helper.make_value_info(name, _type_of(name, feed.get(name))) for name in names],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        version = opset_version or _newest(node.domain)
        opset = [helper.make_opsetid(node.domain, version)]
        model = helper.make_model(graph, opset_imports=opset)
        return cls.run_model(model, feed, device, bake=bake, **kwargs)


is_compatible = AnaccBackend.is_compatible
supports_device = AnaccBackend.supports_device
prepare = AnaccBackend.prepare
run_model = AnaccBackend.run_model
run_node = AnaccBackend.run_node


def _refuse(options: Mapping[str, object], known: set[str]) -> None:
    """Raise a UsageError for an option that is not known."""
    for name in sorted(options.keys() - known):
        listed = ", ".join(f"`{option}`" for option in sorted(known))
        raise UsageError(f"there is no option `{name}`", f"the options are {listed}")


def _input_names(model: ModelProto) -> list[str]:
    """The inputs that must be fed, in order."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [entry.name for entry in model.graph.input if entry.name not in stored]


def _feed(inputs: Inputs, names: Sequence[str]) -> dict[str, Any]:
    """Values by name.

    Raises:
        FeedError: there are more or fewer of them than names, or one is no value.
    """
    if isinstance(inputs, np.ndarray):
        inputs = [inputs]
    if not isinstance(inputs, Mapping):
        if len(inputs) != len(names):
            listed = ", ".join(f"`{name}`" for name in names) or "none"
            raise FeedError(f"there are {len(inputs)} inputs, not {len(names)}: {listed}")
        inputs = dict(zip(names, inputs, strict=True))
    feed = {}
    for name, value in inputs.items():
        try:
            feed[name] = as_value(value)
        except ValueError as error:
            raise FeedError(f"input `{name}` is no array") from error
    return feed


def _type_of(name: str, value: Any) -> TypeProto:
    """The ONNX type of a value.

    Raises:
        FeedError: none can be told from it.
    """
    if isinstance(value, list) and value:
        return helper.make_sequence_type_proto(_type_of(name, value[0]))
    if not isinstance(value, np.ndarray):
        what = "is missing" if value is None else "has no elements, so that its type is unknown"
        raise FeedError(f"input `{name}` {what}", "make a model of the node, and run that")
    code = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_type_proto(code, value.shape)


def _newest(domain: str) -> int:
    """The newest version of a domain's operators."""
    return max(
        (schema.since_version for schema in defs.get_all_schemas() if schema.domain == domain),
        default=1,
    )
