import numpy as np
import pytest

from chronos_jax.text.batching import length_bucket, token_batches


def plan(lengths, limit=100, **options):
    texts = [np.full(length, i + 1, np.int32) for i, length in enumerate(lengths)]
    options = {"batch_size": 8, "tokens_per_batch": 512} | options
    return list(token_batches(texts, limit=limit, pad_id=0, **options))


@pytest.mark.parametrize(("length", "bucket"), [(1, 16), (16, 16), (17, 32), (33, 64), (65, 100), (100, 100)])
def test_buckets_double_up_to_the_limit(length, bucket):
    assert length_bucket(length, 100) == bucket


def test_a_limit_below_the_smallest_bucket_is_the_only_bucket():
    assert length_bucket(3, 10) == 10


def test_every_text_is_in_one_batch_with_its_tokens_before_its_padding():
    lengths = np.random.default_rng(0).integers(1, 101, 200).tolist()
    seen = []
    for texts, tokens, of_rows in plan(lengths):
        for row, number in enumerate(texts.tolist()):
            assert of_rows[row] == lengths[number]
            np.testing.assert_array_equal(tokens[row, : lengths[number]], number + 1)
            assert not tokens[row, lengths[number] :].any()
        assert tokens.shape[0] * tokens.shape[1] <= 512
        seen += texts.tolist()
    assert sorted(seen) == list(range(200))


def test_shapes_are_few():
    lengths = np.random.default_rng(0).integers(1, 101, 997).tolist()
    assert len({batch.tokens_BxS.shape for batch in plan(lengths)}) <= 3 * 4


def test_batches_are_multiples_of_the_shards_with_texts_of_one_token():
    for texts, tokens, lengths in plan([5] * 11, shards=4):
        assert tokens.shape[0] % 4 == 0
        assert (lengths[len(texts) :] == 1).all()


def test_a_text_without_tokens_counts_as_one():
    ((_, tokens, lengths),) = plan([0])
    assert lengths.tolist() == [1]
    assert not tokens.any()
