"""The networks by name, each with the number of parameters that is published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx

from bench.shapes.bert import bert_base
from bench.shapes.description import Network
from bench.shapes.googlenet import googlenet
from bench.shapes.gpt2 import gpt2_small
from bench.shapes.growth import chain, weighty, wide
from bench.shapes.hermes import caption_lstm, ptb_lstm, resnet9
from bench.shapes.inception import inception_v3
from bench.shapes.mobilenet import mobilenet_v2
from bench.shapes.resnet import resnet
from bench.shapes.shufflenet import shufflenet
from bench.shapes.squeezenet import squeezenet
from bench.shapes.vgg import vgg16


class UnknownNetwork(ValueError):
    """No network has this name."""


@dataclass(frozen=True)
class Entry:
    """A network and what is known of it.

    Attributes:
        make: gives the network.
        published: the number of its parameters, with the source.
    """

    make: Callable[[], Network]
    published: str


_TORCHVISION = "torchvision's model of this name"

NETWORKS = {
    "squeezenet-1.0": Entry(partial(squeezenet, "1.0"), f"1,248,424: {_TORCHVISION}"),
    "squeezenet-1.1": Entry(partial(squeezenet, "1.1"), f"1,235,496: {_TORCHVISION}"),
    "shufflenet": Entry(shufflenet, "5.3 MB of float32: the ONNX model zoo"),
    "mobilenet-v2": Entry(mobilenet_v2, f"3,504,872: {_TORCHVISION}"),
    "googlenet": Entry(googlenet, "6,998,552: bvlc_googlenet without auxiliary classifiers"),
    "resnet-18": Entry(partial(resnet, 18), f"11,689,512: {_TORCHVISION}"),
    "resnet-34": Entry(partial(resnet, 34), f"21,797,672: {_TORCHVISION}"),
    "resnet-50": Entry(partial(resnet, 50), f"25,557,032: {_TORCHVISION}"),
    "inception-v3": Entry(inception_v3, f"23,834,568: {_TORCHVISION} without auxiliary classifier"),
    "vgg-16": Entry(vgg16, f"138,357,544: {_TORCHVISION}"),
    "bert-base": Entry(bert_base, "85,054,464: the encoder of bert-base-uncased"),
    "gpt2-small": Entry(gpt2_small, "123,653,376: gpt2 (124,439,808) without positions"),
    "resnet-9": Entry(resnet9, "1,866,536 weights: the HERMES publication"),
    "ptb-lstm": Entry(ptb_lstm, "1,299,312 weights: the HERMES publication"),
    "caption-lstm": Entry(caption_lstm, "4,080,384 weights: the HERMES publication"),
}

FAMILIES = {"chain": chain, "wide": wide, "weights": weighty}
"""Networks of any size: `chain-1000` and `wide-1000` have about 1000 ops, `weights-1e6` has about a
million weights."""


def names() -> list[str]:
    """The names of the networks of fixed size."""
    return [*NETWORKS]


def network(name: str) -> Network:
    """A network, its weights not yet made.

    Raises:
        UnknownNetwork: there is none of this name.
    """
    if name in NETWORKS:
        return NETWORKS[name].make()
    family, _, size = name.partition("-")
    try:
        count = int(float(size))
        if count < 1:
            raise ValueError("a network has at least one op")
        return FAMILIES[family](count)
    except (KeyError, ValueError, OverflowError):
        known = ", ".join([*NETWORKS, *(f"{each}-SIZE" for each in FAMILIES)])
        raise UnknownNetwork(f"there is no network `{name}`; known are {known}") from None


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """A network as an ONNX model.

    Raises:
        UnknownNetwork: there is none of this name.
        TooLarge: it does not fit into one message.
    """
    return network(name).model(seed)
