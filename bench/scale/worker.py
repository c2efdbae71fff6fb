"""Compile one model and print what it took, as JSON: a process of its own for each model."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from threading import Event, Thread

from anacc.compiler import compile_image
from anacc.program import container
from bench.scale.records import Compilation

_STATUS = Path("/proc/self/status")
_INTERVAL = 0.005  # seconds between two looks at the memory
CALIBRATE = "calibrate"


def anonymous_bytes() -> int:
    """The anonymous memory of this process that is resident: file mappings do not count."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} does not tell RssAnon")


class Peak:
    """The most anonymous memory while a thread watches."""

    def __init__(self) -> None:
        self.bytes = 0
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self.bytes = max(self.bytes, anonymous_bytes())

    def stop(self) -> int:
        """End watching; the peak in bytes."""
        self._done.set()
        self._thread.join()
        return max(self.bytes, anonymous_bytes())


class Stages:
    """Wall and CPU seconds of each stage; a stage begins where the one before ends.  So that of the
    last pass holds emission and checks, too."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self._name, self._start = "import", (time.perf_counter(), time.process_time())

    def begin(self, name: str) -> None:
        """The stage `name` begins."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall[self._name] = wall - self._start[0]
        self.cpu[self._name] = cpu - self._start[1]
        self._name, self._start = name, (wall, cpu)


def measure(model: Path, target: Path, weights: int, ops: int, folder: Path) -> Compilation:
    """Compile a model for a target, write the program to a folder, and tell what it took."""
    peak, stages = Peak(), Stages()
    image, _ = compile_image(
        model,
        target=target,
        on_progress=lambda name, _, __: stages.begin(name),
        warn=lambda _: None,
    )
    stages.begin("write")
    container.write(image, folder / "program.bin")
    stages.begin("end")
    counted = [name for name in stages.cpu if name not in ("import", CALIBRATE)]
    return Compilation(
        weights=weights,
        ops=ops,
        tiles=len(image.code.weights),
        seconds=sum(stages.wall[name] for name in counted),
        cpu_seconds=sum(stages.cpu[name] for name in counted),
        stages={name: round(stages.cpu[name], 3) for name in counted},
        peak_bytes=peak.stop(),
    )


if __name__ == "__main__":
    path, chip, count, nodes, output = sys.argv[1:]
    found = measure(Path(path), Path(chip), int(count), int(nodes), Path(output))
    print(found.model_dump_json())
