"""The model in ONNX Runtime, which programs are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anacc.errors import FeedError, ModelError, UsageError
from anacc.feeds import Array, Arrays


class OnnxReference:
    """A model in ONNX Runtime on one thread and without graph optimisation: each node as it is.

    Args:
        path: the ONNX file.
        outputs: names of the outputs that are compared.

    Raises:
        ModelError: the file cannot be read, or ONNX Runtime does not take it.
        UsageError: the model lacks one of the outputs.
    """

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        self._path = path
        if not path.is_file():
            reason = "it is a folder" if path.is_dir() else "no such file"
            raise ModelError(f"`{path}` cannot be read: {reason}")
        # Loaded here: few commands compare, and it takes a while.
        from anacc.frontend.evaluation import open_session, reason_of

        self._session = open_session(str(path), f"`{path}`")
        self._reason_of = reason_of
        self._outputs = list(outputs)
        held = {output.name for output in self._session.get_outputs()}
        for name in self._outputs:
            if name not in held:
                raise UsageError(
                    f"model `{path}` has no output `{name}`",
                    "compare with the model that the program was compiled from",
                )

    def run(self, feed: Mapping[str, Array]) -> Arrays:
        """Return the outputs for a feed, by name.

        Raises:
            FeedError: ONNX Runtime does not take the feed, or fails while it runs.
        """
        try:
            outputs = self._session.run(self._outputs, dict(feed))
        except Exception as error:  # ONNX Runtime raises classes of its own
            reason = self._reason_of(error)
            raise FeedError(f"ONNX Runtime cannot run `{self._path}`: {reason}") from error
        return dict(zip(self._outputs, outputs, strict=True))
