import numpy as np

from training.retrieval.bags import ordered, stacked


def test_a_bag_is_put_in_the_order_of_its_items() -> None:
    items, counts = ordered({7: 0.5, 2: 1.0})

    assert (items.dtype, items.tolist()) == (np.int32, [2, 7])
    assert (counts.dtype, counts.tolist()) == (np.float32, [1.0, 0.5])


def test_bags_are_the_rows_of_a_matrix() -> None:
    found = stacked([{2: 1.0}, {}, {3: 0.25, 0: 0.5}], 4)

    assert found.toarray().tolist() == [[0, 0, 1.0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0.25]]
    assert (found.shape, found.dtype, found.indices.dtype) == ((3, 4), np.float32, np.int32)


def test_no_bags_are_a_matrix_without_rows() -> None:
    assert stacked([], 4).shape == (0, 4)
