"""What the CPU could do at most, measured beside the engines."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import ENGINES, Case, Engine
from bench.engines import Figures, Unavailable
from bench.roofline import Roofline, RooflineError, best_products, native_isa

SECONDS = 0.004  # for each rate


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Measure, on the threads of the case: multiply-adds per second of each product that counts as
    a limit of one of its engines, by its name; and bytes per second, `read`, from buffers that
    together are as large as the weights."""
    try:
        roofline = Roofline()
    except RooflineError as error:
        raise Unavailable(str(error)) from None
    products = {
        name
        for engine in (ENGINES[key] for key in case.engines)
        if engine.sums
        for name in best_products(
            engine.isa or native_isa(), engine.cells, case.is_nonnegative(engine)
        )
    } & {*roofline.products}
    weight_bytes = case.layers.weights

    def measure() -> Figures:
        figures = {
            name: roofline.product_rate(name, SECONDS, case.threads) for name in sorted(products)
        }
        figures["read"] = roofline.read_rate(weight_bytes // case.threads, SECONDS, case.threads)
        return figures

    return measure
