"""The machine and the software that figures come from; nothing that would tell whose it is."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import anacc
from anacc_runtime.program import available_cpus
from bench.results import Machine
from bench.roofline import native_isa

CPU_INFO = Path("/proc/cpuinfo")
# The features of x86-64 and AArch64 CPUs that one of the engines asks for.
FEATURES = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512dq", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip


def machine() -> Machine:
    """Describe this machine."""
    fields = cpu_fields(CPU_INFO.read_text() if CPU_INFO.exists() else "")
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Machine(
        cpu=fields.get("model name") or platform.processor() or "unknown",
        architecture=platform.machine(),
        features=[feature for feature in FEATURES if feature in flags],
        cpus=available_cpus(),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
    )


def cpu_fields(text: str) -> dict[str, str]:
    """The fields of the first CPU in the text of /proc/cpuinfo."""
    first = text.split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def versions(aihwkit_python: str) -> dict[str, str]:
    """Version of each engine, and the instruction set of anacc's kernel."""
    found = {
        "anacc": anacc.__version__,
        "kernel": native_isa(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "ONNX Runtime": onnxruntime.__version__,
    }
    for package in ("aihwkit", "torch"):
        version = _version_in(aihwkit_python, package)
        if version:
            found[package] = version
    return found


def _version_in(python: str, package: str) -> str | None:
    """The version of a package that an interpreter has, or None."""
    script = f"import importlib.metadata as m; print(m.version({package!r}))"
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def u8s8_is_exact() -> bool:
    """Whether ONNX Runtime's products of unsigned activations and signed weights are right here.

    On AVX2 without VNNI it adds pairs of them in 16 bits, which saturate: 2 * 255 * 127 > 2^15.
    """
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "product",
        [
            helper.make_tensor_value_info("x", TensorProto.UINT8, [64, 64]),
            helper.make_tensor_value_info("w", TensorProto.INT8, [64, 64]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [64, 64])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x, w = np.full((64, 64), 255, np.uint8), np.full((64, 64), 127, np.int8)
    (y,) = session.run(None, {"x": x, "w": w})
    return bool((y == 64 * 255 * 127).all())
