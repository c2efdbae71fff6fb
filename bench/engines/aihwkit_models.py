"""aihwkit, IBM's simulator of analog in-memory computing, for inference: tiles of 256x256 with
8-bit converters, no noise, and static input ranges like the chip's: what costs it least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.cases import Case, Engine
from bench.engines import Figures, Unavailable
from bench.engines.feeds import feed
from bench.engines.timing import timed
from bench.networks import ConvolutionalNetwork, RecurrentNetwork

TILE = 256
RESOLUTION = 1 / (2**8 - 2)


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Measure the forward pass, without gradients."""
    try:
        import torch
        from aihwkit.nn.conversion import convert_to_analog
    except ImportError:
        raise Unavailable("not installed") from None
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    config = _config(engine.options["config"])
    match case.layers:
        case ConvolutionalNetwork():
            model = convert_to_analog(_convolutional(case.layers), config)
        case RecurrentNetwork():
            model = _recurrent(case.layers, config)
        case _:
            raise Unavailable("does not have this network")
    model.eval()
    (inputs,) = (torch.from_numpy(array) for array in feed(case).values())

    def forward() -> None:
        with torch.no_grad():
            model(inputs)

    return timed(forward)


def _config(name: str) -> Any:
    from aihwkit.simulator import configs
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    config = getattr(configs, name)()
    config.mapping.max_input_size = TILE
    config.mapping.max_output_size = TILE
    forward = config.forward
    forward.inp_res = forward.out_res = RESOLUTION
    forward.inp_noise = forward.out_noise = forward.w_noise = 0.0
    # Neither scales by the largest input nor repeats products that exceed the output range.
    forward.bound_management = BoundManagementType.NONE
    forward.noise_management = NoiseManagementType.NONE
    return config


def _convolutional(network: ConvolutionalNetwork) -> Any:
    from torch import nn

    class Convolutional(nn.Module):  # type: ignore[misc]
        """The network as PyTorch module."""

        def __init__(self) -> None:
            super().__init__()
            self.convolutions = nn.ModuleList(
                nn.Conv2d(layer.inputs, layer.outputs, 3, padding=1)
                for layer in network.convolutions
            )
            self.dense = nn.Linear(network.features, network.classes)

        def forward(self, value: Any) -> Any:
            before = value
            for layer, convolution in zip(network.convolutions, self.convolutions, strict=True):
                skipped, before = before, value
                value = convolution(value).relu()
                if layer.skip:
                    value = value + skipped
                if layer.pool > 1:
                    value = nn.functional.max_pool2d(value, layer.pool)
            return self.dense(value.flatten(1))

    return Convolutional()


def _recurrent(network: RecurrentNetwork, config: Any) -> Any:
    from aihwkit.nn import AnalogLSTMCellCombinedWeight, AnalogRNN

    return AnalogRNN(
        AnalogLSTMCellCombinedWeight,
        network.inputs,
        network.hidden,
        bias=True,
        rpu_config=config,
        xavier=True,
    )
