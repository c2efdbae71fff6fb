"""Inception v3 without its auxiliary classifier (Szegedy et al., arXiv 1512.00567, table 1, figures
5 to 7 and 10; channels, which the publication leaves out, as its authors released them)."""

from __future__ import annotations

from bench.shapes.builder import Builder, Size, Value
from bench.shapes.description import Network

ROW, COLUMN = (1, 7), (7, 1)


def inception_v3() -> Network:
    """Inception v3 on 299x299 images."""
    build = _InceptionBuilder("inception-v3")
    x = build.layer("conv1", build.image(299), 32, 3, 2, pad=0)
    x = build.layer("conv2", x, 32, 3, pad=0)
    x = build.max_pool("pool1", build.layer("conv3", x, 64, 3), 3, 2)
    x = build.layer("conv5", build.layer("conv4", x, 80, 1), 192, 3, pad=0)
    x = build.max_pool("pool2", x, 3, 2)
    for index, pooled in enumerate((32, 64, 64)):
        x = _module_a(build, f"a{index}", x, pooled)
    x = _reduction_a(build, "reduction_a", x)
    for index, inside in enumerate((128, 160, 160, 192)):
        x = _module_b(build, f"b{index}", x, inside)
    x = _reduction_b(build, "reduction_b", x)
    for index in range(2):
        x = _module_c(build, f"c{index}", x)
    return build.network(build.linear("fc", build.mean(x), 1000), ["N", 1000])


class _InceptionBuilder(Builder):
    """A builder with layers of convolution, batch normalisation and ReLU."""

    def layer(
        self,
        name: str,
        x: Value,
        channels: int,
        kernel: Size,
        stride: int = 1,
        pad: int | None = None,
    ) -> Value:
        y = self.conv(name, x, channels, kernel, stride, pad=pad, bias=False)
        return self.relu(self.batch_norm(y, epsilon=1e-3))

    def row(self, name: str, x: Value, *layers: tuple[int, Size]) -> Value:
        """Layers, given as channels and kernel, one behind the other."""
        for index, (channels, kernel) in enumerate(layers):
            x = self.layer(f"{name}.{index}", x, channels, kernel)
        return x

    def pooled(self, name: str, x: Value, channels: int) -> Value:
        """A 1x1 layer behind an average over 3x3 windows."""
        return self.layer(f"{name}.0", self.average_pool(f"{name}.mean", x, 3, 1, 1), channels, 1)


def _module_a(build: _InceptionBuilder, name: str, x: Value, pooled: int) -> Value:
    branches = [
        build.row(f"{name}.direct", x, (64, 1)),
        build.row(f"{name}.large", x, (48, 1), (64, 5)),
        build.row(f"{name}.double", x, (64, 1), (96, 3), (96, 3)),
        build.pooled(f"{name}.pool", x, pooled),
    ]
    return build.concat(name, branches)


def _reduction_a(build: _InceptionBuilder, name: str, x: Value) -> Value:
    double = build.row(f"{name}.double", x, (64, 1), (96, 3))
    branches = [
        build.layer(f"{name}.single", x, 384, 3, 2, pad=0),
        build.layer(f"{name}.double.2", double, 96, 3, 2, pad=0),
        build.max_pool(f"{name}.pool", x, 3, 2),
    ]
    return build.concat(name, branches)


def _module_b(build: _InceptionBuilder, name: str, x: Value, inside: int) -> Value:
    once: list[tuple[int, Size]] = [(inside, 1), (inside, ROW), (192, COLUMN)]
    twice: list[tuple[int, Size]] = [(inside, 1), (inside, COLUMN), (inside, ROW), (inside, COLUMN)]
    branches = [
        build.row(f"{name}.direct", x, (192, 1)),
        build.row(f"{name}.once", x, *once),
        build.row(f"{name}.twice", x, *twice, (192, ROW)),
        build.pooled(f"{name}.pool", x, 192),
    ]
    return build.concat(name, branches)


def _reduction_b(build: _InceptionBuilder, name: str, x: Value) -> Value:
    single = build.row(f"{name}.single", x, (192, 1))
    long = build.row(f"{name}.long", x, (192, 1), (192, ROW), (192, COLUMN))
    branches = [
        build.layer(f"{name}.single.1", single, 320, 3, 2, pad=0),
        build.layer(f"{name}.long.3", long, 192, 3, 2, pad=0),
        build.max_pool(f"{name}.pool", x, 3, 2),
    ]
    return build.concat(name, branches)


def _module_c(build: _InceptionBuilder, name: str, x: Value) -> Value:
    single = build.row(f"{name}.single", x, (384, 1))
    double = build.row(f"{name}.double", x, (448, 1), (384, 3))
    branches = [
        build.row(f"{name}.direct", x, (320, 1)),
        build.layer(f"{name}.single.row", single, 384, (1, 3)),
        build.layer(f"{name}.single.column", single, 384, (3, 1)),
        build.layer(f"{name}.double.row", double, 384, (1, 3)),
        build.layer(f"{name}.double.column", double, 384, (3, 1)),
        build.pooled(f"{name}.pool", x, 192),
    ]
    return build.concat(name, branches)
