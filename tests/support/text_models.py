"""Text checkpoints of any size with tokenizers: weights that behave as trained ones, vocabularies made up here."""

import json
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from chronos_jax.checkpoints.weights import published_shapes
from chronos_jax.text.bert import params as bert
from chronos_jax.text.bert.config import BertConfig
from chronos_jax.text.clip import params as clip
from chronos_jax.text.clip.config import ClipTextConfig

TINY = {
    "vocab_size": 1200,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "layer_norm_eps": 1e-3,  # large enough to be seen
}
BERTS = {
    "tiny BERT": BertConfig(**TINY, max_position_embeddings=64),
    "all-MiniLM-L6-v2": BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
    ),
    "gte-base": BertConfig(
        vocab_size=30522,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
    ),
}
CLIPS = {
    "tiny CLIP": ClipTextConfig(**TINY, max_position_embeddings=40, projection_dim=24, eos_token_id=1199),
    "clip-vit-base-patch32": ClipTextConfig(),
}

LOGIT_STD = 1.5

WORDS = [
    "a",
    "and",
    "bathroom",
    "bedroom",
    "cooked",
    "dinner",
    "in",
    "night",
    "person",
    "sleeps",
    "stove",
    "the",
    "walks",
]

SHORT = [
    "Someone sleeps in the bedroom at night.",
    "",
    "   \t\n ",
    "The STOVE is on, and dinner's cooked!",
    "😀 a person 👩‍👩‍👧 walks 🚶🏽",
    "日本語のテキスト and 中文",
    "cafe\u0301, nai\u0308ve, Ångström, İstanbul, ﬁne",
    "zero\u200bwidth, nul\u0000, bell\u0007, \u202eright to left, \ufffd",
    "[SEP] <|endoftext|> [MASK]",
]
LONG = ["the person walks to the bathroom " * 304, "night! " * 14 + "x", "z" * 10_000]
"""The first and the last have 10,000 characters."""


def text_reference(folder: Path, **options: Any) -> Any:
    """The reference's model for a checkpoint folder; skips the test where the reference is not installed."""
    transformers = transformers_module()
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    model = transformers.BertModel if kind == "bert" else transformers.CLIPTextModelWithProjection
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.from_pretrained(folder, **options).eval()


def transformers_module() -> Any:
    """The reference; skips the test where it is not installed."""
    pytest.importorskip("torch", reason="the PyTorch reference is not installed (extra: test)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: test)")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def random_tensors(config: BertConfig | ClipTextConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """A float32 tensor for every published name, each drawn from (seed, name) alone."""
    is_bert = isinstance(config, BertConfig)
    table = bert.weight_table(config, pooler=True) if is_bert else clip.weight_table(config)
    return {name: _draw(name, shape, seed) for name, shape in published_shapes(table)}


def _draw(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    x = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape, dtype=np.float32)
    if name.endswith("bias"):
        return np.float32(0.1) * x
    if "norm" in name.lower():
        return 1 + np.float32(0.2) * x
    if "embedding" in name:
        return np.float32(0.5 if "position" in name else 1.0) * x
    # Logits are over the root of the width of a head, so that they spread as queries do.
    return np.float32((LOGIT_STD if "query" in name or "q_proj" in name else 1.0) * shape[1] ** -0.5) * x


def write_bert(folder: Path, config: BertConfig, seed: int = 0, **settings: Any) -> Path:
    """A BERT with its tokenizer; with `pooling` or `normalize`, also the files of sentence-transformers."""
    _write_weights(folder, config, seed)
    bert_tokenizer(config.vocab_size).save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "pad_token": "[PAD]", "unk_token": "[UNK]"}
    said |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    write_json(folder / "tokenizer_config.json", said | {"model_max_length": config.max_position_embeddings})
    if settings:
        write_sentence_files(folder, **settings)
    return folder


def write_clip(folder: Path, config: ClipTextConfig, seed: int = 0) -> Path:
    """A text tower of CLIP with its tokenizer."""
    _write_weights(folder, config, seed)
    clip_tokenizer(config.vocab_size).save(str(folder / "tokenizer.json"))
    end = "<|endoftext|>"
    said = {"tokenizer_class": "CLIPTokenizer", "pad_token": end, "unk_token": end, "eos_token": end}
    said |= {"bos_token": "<|startoftext|>", "model_max_length": config.max_position_embeddings}
    write_json(folder / "tokenizer_config.json", said)
    return folder


def write_sentence_files(folder: Path, pooling: str = "mean", normalize: bool = True, **transformer: Any) -> None:
    """What sentence-transformers keeps beside a model; further settings go into sentence_bert_config.json."""
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "sqrt": "mean_sqrt_len_tokens"}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(
        folder / "1_Pooling" / "config.json", {f"pooling_mode_{flag}": key == pooling for key, flag in flags.items()}
    )
    write_json(folder / "sentence_bert_config.json", transformer)


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def _write_weights(folder: Path, config: BertConfig | ClipTextConfig, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(random_tensors(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", config.to_dict())


def bert_tokenizer(vocab_size: int) -> Tokenizer:
    """Word pieces as BERT's: [PAD] is 0, words and letters lie anywhere, the rest is unused."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()] + list("文中語")
    known = [*WORDS, *letters, *(f"##{letter}" for letter in letters)]
    vocab = dict(zip(specials, range(5), strict=True)) | _spread(list(dict.fromkeys(known)), 5, vocab_size)
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocab[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(specials)
    return tokenizer


def clip_tokenizer(vocab_size: int) -> Tokenizer:
    """Pairs of bytes as CLIP's: words end in </w>, and the last two ids begin and end a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts[:2] = ["".join(parts[:2])]
    merges = list(dict.fromkeys(merges))
    known = [*alphabet, *(f"{byte}</w>" for byte in alphabet), *(first + second for first, second in merges)]
    begin, end = "<|startoftext|>", "<|endoftext|>"
    vocab = _spread(list(dict.fromkeys(known)), 0, vocab_size - 2) | {begin: vocab_size - 2, end: vocab_size - 1}
    tokenizer = Tokenizer(models.BPE(vocab, merges, end_of_word_suffix="</w>", unk_token=end))
    blanks = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), blanks, normalizers.Lowercase()])
    pieces = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, vocab[end]), (begin, vocab[begin]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens([begin, end])
    return tokenizer


def _spread(tokens: list[str], first: int, end: int) -> dict[str, int]:
    """Ids anywhere from `first` to `end`, without gaps: what is not known is filled up."""
    filled = [*tokens, *(f"unused{i}" for i in range(end - first - len(tokens)))]
    ids = np.random.default_rng(0).permutation(np.arange(first, end))
    return dict(zip(filled, ids.tolist(), strict=True))
