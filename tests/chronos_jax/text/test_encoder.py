import json
import shutil
from inspect import unwrap as without_checks

import jax
import numpy as np
import pytest
from imports import assert_not_imported
from safetensors.numpy import load_file, save_file
from text_models import BERTS, CLIPS, LONG, random_tensors, write_json, write_sentence_files

from chronos_jax import Chronos2Pipeline, TextEncoder
from chronos_jax.checkpoints.errors import CheckpointError, UnsupportedConfigError
from chronos_jax.checkpoints.loading import load_params
from chronos_jax.checkpoints.orbax import save_orbax
from chronos_jax.checkpoints.sources import resolve
from chronos_jax.sharding import make_mesh
from chronos_jax.text.bert.params import weight_table

FEW = ["The stove", "", "a person walks", "night"]
"""Of one shape, because each shape that a test computes is a compilation."""


@pytest.fixture
def folder(bert_folder, tmp_path):
    """A checkpoint that may be changed."""
    return shutil.copytree(bert_folder, tmp_path / "model")


def test_a_text_has_the_same_vector_alone_and_beside_others_in_the_callers_order(bert):
    texts = [FEW[0], LONG[0], *FEW[1:]]
    together = bert.embed(texts)
    assert together.dtype == np.float32
    assert together.shape == (5, bert.width) == (5, 32)
    np.testing.assert_allclose(together[::-1], bert.embed(texts[::-1], batch_size=3), atol=1e-6)
    for text, vector in zip(texts[:3], together, strict=False):
        np.testing.assert_allclose(bert.embed([text])[0], vector, atol=1e-6)


def test_vectors_have_the_form_that_the_sentence_files_ask_for(bert, folder):
    np.testing.assert_allclose(np.linalg.norm(bert.embed(FEW), axis=1), 1, rtol=1e-6)
    write_sentence_files(folder, "mean", normalize=False)
    plain = TextEncoder.from_pretrained(folder).embed(FEW)
    norms = np.linalg.norm(plain, axis=1, keepdims=True)
    assert norms.min() > 2
    np.testing.assert_allclose(plain / norms, bert.embed(FEW), atol=1e-6)


def test_nothing_is_compiled_again_for_other_texts(clip):
    texts = [("stove " * (i % 37)).strip() for i in range(300)]
    clip.embed(texts)
    shapes = clip._compiled._cache_size()
    assert shapes <= 3 * 4  # buckets of 16, 32 and 40 tokens, and batches of 1, 4, 16 … texts
    clip.embed([text.replace("stove", "night") for text in texts[::-1]])
    assert clip._compiled._cache_size() == shapes


def test_no_texts_are_no_vectors(clip):
    assert clip.embed([]).shape == (0, 24)
    assert clip.width == 24
    assert clip.max_tokens == 40


@pytest.mark.parametrize(("texts", "found"), [("a text", "'a text'"), (["a", None], "None"), ([b"a"], "b'a'")])
def test_what_is_no_list_of_texts_is_refused(texts, found, clip):
    with pytest.raises(TypeError, match=f"texts must be a list of str, found {found}"):
        without_checks(TextEncoder.embed)(clip, texts)


def test_a_batch_size_below_one_is_refused(clip):
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        clip.embed(["a"], batch_size=0)


@pytest.mark.parametrize("shape", [{"data": 4}, {"data": 1, "fsdp": 2, "tensor": 2}])
def test_texts_and_parameters_are_spread_over_a_mesh(shape, bert, bert_folder):
    mesh = make_mesh(shape, jax.devices()[:4])
    spread = TextEncoder.from_pretrained(bert_folder, mesh=mesh)
    np.testing.assert_allclose(spread.embed(FEW), bert.embed(FEW), atol=1e-6)
    kernel = spread.model.blocks.mlp.hidden.kernel[...]
    assert len({shard.device for shard in kernel.addressable_shards}) == 4
    assert kernel.addressable_shards[0].data.size == kernel.size // (shape.get("fsdp", 1) * shape.get("tensor", 1))


def test_the_fingerprint_changes_with_all_that_a_vector_depends_on(bert, bert_folder, folder):
    def fingerprint(**options):
        return TextEncoder.from_pretrained(folder, **options).fingerprint

    assert fingerprint() == bert.fingerprint
    seen = {bert.fingerprint, fingerprint(dtype="bfloat16")}
    tokenizer = (bert_folder / "tokenizer.json").read_bytes()
    changes = {
        "pooling": lambda: write_sentence_files(folder, "cls"),
        "normalisation": lambda: write_sentence_files(folder, normalize=False),
        "limit": lambda: write_sentence_files(folder, max_seq_length=20),
        "case": lambda: write_sentence_files(folder, do_lower_case=True),
        "tokenizer": lambda: (folder / "tokenizer.json").write_bytes(tokenizer + b" "),
        "config": lambda: write_json(folder / "config.json", BERTS["tiny BERT"].to_dict() | {"hidden_act": "relu"}),
        "weights": lambda: save_file(random_tensors(BERTS["tiny BERT"], seed=1), folder / "model.safetensors"),
    }
    for name, change in changes.items():
        shutil.copytree(bert_folder, folder, dirs_exist_ok=True)
        change()
        assert fingerprint() not in seen, name
        seen.add(fingerprint())


def test_float16_checkpoints_and_older_buffers_are_read(folder, bert):
    tensors = {name: tensor.astype(np.float16) for name, tensor in load_file(folder / "model.safetensors").items()}
    tensors["embeddings.position_ids"] = np.arange(64)[None]
    del tensors["pooler.dense.weight"], tensors["pooler.dense.bias"]
    save_file(tensors, folder / "model.safetensors")
    np.testing.assert_allclose(TextEncoder.from_pretrained(folder).embed(FEW), bert.embed(FEW), atol=2e-3)


def test_the_text_tower_is_read_from_the_whole_of_clip(clip, clip_folder, tmp_path):
    shutil.copytree(clip_folder, tmp_path, dirs_exist_ok=True)
    text = CLIPS["tiny CLIP"].to_dict()
    write_json(tmp_path / "config.json", {"model_type": "clip", "projection_dim": 24, "text_config": text})
    more = {
        "vision_model.post_layernorm.weight": np.ones(8, np.float32),
        "visual_projection.weight": np.ones((24, 8), np.float32),
        "logit_scale": np.array(4.6, np.float32),
        "text_model.embeddings.position_ids": np.arange(40)[None],
    }
    save_file(load_file(clip_folder / "model.safetensors") | more, tmp_path / "model.safetensors")
    whole = TextEncoder.from_pretrained(tmp_path)
    np.testing.assert_array_equal(whole.embed(FEW), clip.embed(FEW))
    assert whole.fingerprint == clip.fingerprint


def test_weights_must_be_all_there_and_no_others(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["cls.predictions.bias"] = tensors.pop("embeddings.LayerNorm.bias")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        TextEncoder.from_pretrained(folder)
    assert "missing: embeddings.LayerNorm.bias" in str(caught.value)
    assert "unknown: cls.predictions.bias" in str(caught.value)


def test_other_families_are_refused_by_name(folder):
    write_json(folder / "config.json", {"model_type": "mpnet", "architectures": ["MPNetModel"]})
    with pytest.raises(UnsupportedConfigError, match=r"'mpnet' \(architectures \['MPNetModel'\]\)"):
        TextEncoder.from_pretrained(folder)


def test_a_model_of_time_series_is_refused(tmp_path):
    Chronos2Pipeline.from_pretrained("random:tiny").save_pretrained(tmp_path)
    with pytest.raises(UnsupportedConfigError, match="is a Chronos-2, expected an encoder of texts"):
        TextEncoder.from_pretrained(tmp_path)


def test_an_orbax_checkpoint_is_read_with_its_pooler(bert, bert_folder, tmp_path):
    raw = json.loads((bert_folder / "config.json").read_text())
    params = load_params(resolve(bert_folder), weight_table(BERTS["tiny BERT"], pooler=True))
    save_orbax(tmp_path / "model", params, raw)
    shutil.copytree(bert_folder, tmp_path / "model", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    assert TextEncoder.from_pretrained(tmp_path / "model").fingerprint == bert.fingerprint


def test_a_progress_bar_is_shown_on_a_terminal_or_on_demand(clip, capsys, monkeypatch):
    clip.embed(FEW, batch_size=2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes of anything a terminal
    clip.embed(FEW, batch_size=2, progress=False)
    assert capsys.readouterr() == ("", "")
    clip.embed(FEW, batch_size=2)
    assert "4/4" in capsys.readouterr().err
    clip.embed(FEW, batch_size=2, progress=True)
    assert "4/4" in capsys.readouterr().err


def test_modules_behind_clip_are_refused(clip_folder, tmp_path):
    shutil.copytree(clip_folder, tmp_path, dirs_exist_ok=True)
    write_sentence_files(tmp_path)
    with pytest.raises(UnsupportedConfigError, match="CLIP's own projection"):
        TextEncoder.from_pretrained(tmp_path)


def test_other_types_are_refused(folder):
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, found 'float16'"):
        TextEncoder.from_pretrained(folder, dtype="float16")


def test_torch_and_transformers_are_not_needed(bert_folder):
    code = f"from chronos_jax import TextEncoder; TextEncoder.from_pretrained({str(bert_folder)!r})"
    assert_not_imported("torch", code)
    assert_not_imported("transformers", code)


def test_importing_the_module_loads_no_tokenizer():
    assert_not_imported("tokenizers", "import chronos_jax.text.encoder")


def test_an_encoder_says_what_it_is_in_one_line(bert, clip, folder):
    assert repr(bert) == "TextEncoder(BERT, 3 layers of width 32, mean pooling, normalised, at most 64 tokens)"
    assert repr(clip) == "TextEncoder(CLIP text, 3 layers of width 32, projected to 24, at most 40 tokens)"
    write_sentence_files(folder, "cls", normalize=False, max_seq_length=20)
    cls = TextEncoder.from_pretrained(folder)
    assert repr(cls) == "TextEncoder(BERT, 3 layers of width 32, cls pooling, at most 20 tokens)"


def test_a_home_of_names_lists_the_encoder():
    import chronos_jax

    assert json.dumps(dir(chronos_jax)).count("TextEncoder") == 1
