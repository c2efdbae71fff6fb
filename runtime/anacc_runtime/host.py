"""Host segments: the parts of a model that the chip cannot do, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anacc.errors import ProgramError
from anacc.host_values import for_onnx_runtime
from anacc_runtime.registers import Array


class HostSegment:
    """An ONNX segment, loaded at its first run.

    ONNX and ONNX Runtime are imported only then, so that programs without segments never load
    them.

    Args:
        number: position in the program, for messages.
        models: the serialised ONNX models of the program, of which this is one; read at the first
            run, for that checks the bytes of a program file.
    """

    def __init__(self, number: int, models: Sequence[bytes]) -> None:
        self._number = number
        self._models = models
        self._session: Any = None

    def run(self, feed: Mapping[str, Array], outputs: list[str]) -> list[object]:
        """The named outputs, tensors or whatever else the segment makes.

        Args:
            feed: whole tensors over the whole batch.
            outputs: names of the segment's graph.

        Raises:
            ProgramError: the segment is damaged or refers to a file outside the program, or ONNX
                Runtime refuses it or fails while it runs.
        """
        try:
            if self._session is None:
                self._session = _session(self._models[self._number])
            given = {name: for_onnx_runtime(value) for name, value in feed.items()}
            result: list[object] = self._session.run(outputs, given)
        except ProgramError:
            raise
        except Exception as error:  # ONNX Runtime has an exception class for each status code
            reason = " ".join(str(error).split())
            raise ProgramError(f"host segment {self._number} failed: {reason}") from error
        return result


def _session(model: bytes) -> Any:
    """A session on one thread, without optimisations that depend on the CPU."""
    import onnxruntime

    _refuse_external_data(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what fails is raised; nothing is to be printed
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _refuse_external_data(model: bytes) -> None:
    """A segment is complete in itself: it may not make ONNX Runtime open a file.

    Raises:
        ProgramError: a tensor of the model, in whatever subgraph, names an external file.
    """
    import onnx

    for tensor in _messages(onnx.load_model_from_string(model), onnx.TensorProto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ProgramError(f"host segment refers to a file for tensor `{tensor.name}`")


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """All messages of a kind anywhere inside a protobuf message."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, kind):
                yield item
            else:
                yield from _messages(item, kind)
