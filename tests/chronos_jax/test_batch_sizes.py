from chronos_jax.batch_sizes import next_batch_size


def test_what_is_left_over_is_computed_in_few_sizes() -> None:
    sizes = {next_batch_size(number, 53) for number in range(1, 200)}
    assert sizes == {1, 4, 16, 53}
    assert [next_batch_size(n, 53) for n in (60, 40, 39, 9, 8, 3, 2)] == [53, 53, 16, 16, 4, 4, 1]
    assert {next_batch_size(number, 53, shards=8) for number in range(1, 200)} == {8, 32, 56}
