"""Parity with the PyTorch reference, on weights that behave as trained ones."""

import warnings

import numpy as np
import pytest
from comparison import BOUND, errors, relative_error, run_port, run_reference
from reference import CASES, reference_pipeline, walks, write_random_checkpoint

from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2.random_weights import SIZES

SIZES_HERE = [
    "tiny",
    pytest.param("chronos-2-small", marks=pytest.mark.table_only),
    pytest.param("chronos-2", marks=pytest.mark.full_size),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Size → folder with random weights, each written once."""
    room = tmp_path_factory.mktemp("checkpoints")
    return lambda size: write_random_checkpoint(room / size, SIZES[size])


@pytest.mark.parametrize("size", SIZES_HERE)
def test_every_case_agrees_in_float32(size, checkpoint, parity_table):
    reference = reference_pipeline(checkpoint(size))
    port = Chronos2Pipeline.from_pretrained(checkpoint(size))
    failures = {}
    for name, make in CASES.items():
        case = make()
        found = errors(*run_port(port, case), run_reference(reference, case))
        parity_table[name][size] = max(found.values())
        if not max(found.values()) <= BOUND:
            failures[name] = found
    assert failures == {}


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ("tiny", ("univariate, 2,048 steps", "values of 1e8", "future covariates", "mixed groups")),
        pytest.param("chronos-2-small", ("multivariate, 5 × 50",), marks=pytest.mark.table_only),
        pytest.param("chronos-2", ("multivariate, 5 × 50",), marks=pytest.mark.full_size),
    ],
)
def test_in_bfloat16_the_port_is_as_near_to_float32_as_the_reference(size, names, checkpoint):
    """The largest error of all cases together; of a single one it is a matter of luck, its mean square is not."""
    exact = reference_pipeline(checkpoint(size))
    rounded = reference_pipeline(checkpoint(size), dtype="bfloat16")
    port = Chronos2Pipeline.from_pretrained(checkpoint(size), dtype="bfloat16")
    largest = {"embedding": [0.0, 0.0], "forecast": [0.0, 0.0]}
    for name in names:
        case = CASES[name]()
        expected, theirs = run_reference(exact, case), run_reference(rounded, case)
        ours, valid = run_port(port, case)
        for quantity, pair in largest.items():
            for side, outputs in enumerate((ours, theirs)):
                pair[side] = max(pair[side], errors(outputs, valid, expected)[quantity])
        for a, b, c in (
            (ours.hidden[valid], theirs.hidden[valid], expected.hidden[valid]),
            (ours.quantiles, theirs.quantiles, expected.quantiles),
        ):
            assert np.square(a - c).mean() < np.square(b - c).mean(), name
    for quantity, (our_error, reference_error) in largest.items():
        assert our_error <= 1.1 * reference_error, quantity


@pytest.mark.parametrize("name", ["multivariate, 5 × 50", "NaN inside", "future covariates", "mixed groups"])
def test_the_reference_test_checkpoint_agrees(name, reference_checkpoint):
    case = CASES[name]()
    expected = run_reference(reference_pipeline(reference_checkpoint), case)
    found = errors(*run_port(Chronos2Pipeline.from_pretrained(reference_checkpoint), case), expected)
    assert max(found.values()) <= BOUND


def test_the_reference_lora_adapter_agrees(reference_checkpoint, reference_lora):
    peft = pytest.importorskip("peft", reason="peft is not installed (extra: test)")
    reference = reference_pipeline(reference_checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft uses what transformers deprecates
        adapted = peft.PeftModel.from_pretrained(reference.model, reference_lora).merge_and_unload()
    reference.model = adapted.eval()
    case = CASES["future covariates"]()
    port = Chronos2Pipeline.from_pretrained(reference_lora, base=reference_checkpoint)
    ours, valid = run_port(port, case)
    assert max(errors(ours, valid, run_reference(reference, case)).values()) <= BOUND
    plain, _ = run_port(Chronos2Pipeline.from_pretrained(reference_checkpoint), case)
    assert relative_error(plain.quantiles, ours.quantiles) > BOUND  # the adapter does something


def test_embed_agrees_with_the_reference_one_input_at_a_time(checkpoint):
    reference, port = (make(checkpoint("tiny")) for make in (reference_pipeline, Chronos2Pipeline.from_pretrained))
    inputs = [walks(300), walks(5, 50), walks(3, 17), walks(1), walks(2, 9000)]
    inputs[1][2, :20] = np.nan
    embeddings, scales = port.embed(inputs)
    for x, ours, (loc, scale) in zip(inputs, embeddings, scales, strict=True):
        (expected,), ((expected_loc, expected_scale),) = reference.embed([x])
        valid = ours_valid(x, ours.shape)
        assert relative_error(ours[valid], expected.numpy()[valid]) <= BOUND
        np.testing.assert_allclose(loc, expected_loc.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(scale, expected_scale.numpy(), rtol=1e-5)


def ours_valid(x, shape):
    """Which positions of an embedding belong to patches in which something is observed, or follow them."""
    x = np.atleast_2d(x)[:, -8192:]
    variates, positions, _ = shape
    padded = np.full((variates, (positions - 2) * 16), np.nan, np.float32)
    padded[:, -x.shape[1] :] = x
    seen = ~np.isnan(padded).reshape(variates, -1, 16).all(-1)
    return np.concatenate([seen, np.ones((variates, 2), bool)], axis=1)


def test_the_reference_loads_what_save_pretrained_writes(checkpoint, tmp_path):
    port = Chronos2Pipeline.from_pretrained(checkpoint("tiny"))
    port.save_pretrained(tmp_path / "saved")
    case = CASES["mixed groups"]()
    before = run_reference(reference_pipeline(checkpoint("tiny")), case)
    after = run_reference(reference_pipeline(tmp_path / "saved"), case)
    np.testing.assert_array_equal(before.quantiles, after.quantiles)
