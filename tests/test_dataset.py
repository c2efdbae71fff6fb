"""Data sets split into the feeds of a program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anacc.dataset import batches, sample_count
from anacc.errors import FeedError
from tests.test_feeds import Port

IMAGE = Port("image", "float32", (None, 2))


def test_samples_are_taken_in_order() -> None:
    data = {"image": np.arange(14).reshape(7, 2), "label": np.arange(7)}
    taken = list(batches(data, [IMAGE], 3, "label"))
    assert [(batch.start, batch.count) for batch in taken] == [(0, 3), (3, 3), (6, 1)]
    np.testing.assert_array_equal(
        np.concatenate([batch.feed["image"] for batch in taken]), data["image"]
    )
    assert list(data["label"][taken[1].samples]) == [3, 4, 5]


def test_a_fixed_batch_is_filled() -> None:
    data = {"image": np.arange(10).reshape(5, 2)}
    *_, last = batches(data, [Port("image", "float32", (3, 2))], 3)
    assert last.count == 2
    assert last.feed["image"].tolist() == [[6, 7], [8, 9], [8, 9]]


def test_the_batch_axis_may_lie_anywhere() -> None:
    data = {"ids": np.arange(6).reshape(3, 2)}
    (batch,) = batches(data, [Port("ids", "int64", (2, None), 1)], 8)
    np.testing.assert_array_equal(batch.feed["ids"], data["ids"].T)


def test_inputs_without_a_batch_axis() -> None:
    """One sample at a time; an array of the input's own shape belongs to every sample."""
    step, state = Port("step", "float32", (2,), None), Port("state", "float32", (4,), None)
    data = {"step": np.arange(6.0).reshape(3, 2), "state": np.ones(4)}
    taken = list(batches(data, [step, state], 1))
    assert [batch.feed["step"].tolist() for batch in taken] == [[0, 1], [2, 3], [4, 5]]
    assert all(batch.feed["state"].shape == (4,) for batch in taken)
    assert len(list(batches({"step": np.ones(2)}, [step], 1))) == 1
    with pytest.raises(FeedError, match="one sample at a time"):
        list(batches(data, [step, state], 2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"label": np.arange(2)}, "holds no array `image`"),
        ({"image": np.zeros((2, 2))}, "holds no array `label`"),
        ({"image": np.zeros((2, 2)), "label": np.arange(3)}, "differ in their number of samples"),
        ({"image": np.zeros((0, 2)), "label": np.arange(0)}, "holds no samples"),
        ({"image": np.zeros((2, 2)), "label": np.array(1)}, "differ in their number of samples"),
    ],
)
def test_refusals(data: dict[str, np.ndarray[Any, Any]], message: str) -> None:
    with pytest.raises(FeedError, match=message):
        sample_count(data, [IMAGE], "label")
