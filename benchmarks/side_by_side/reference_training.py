"""Head training as one writes it around the PyTorch reference: embeddings are computed again in each epoch.

    python -m benchmarks.side_by_side.reference_training FOLDER DEVICE DTYPE TABLES EPOCHS OUT

Features, towers, loss and optimiser cost what those of `python -m train` with its defaults do, and are the same but for
the learning rate's schedule and for which weights decay: embeddings averaged over context patches, variates side by
side, level and spread behind them, all standardised; a head of linear, LayerNorm, GELU, dropout, linear on these and on
the mean of the captions' words; InfoNCE with several positives; AdamW, clipped.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.side_by_side.loading import Setting, load

HIDDEN, OUT, DROPOUT, TEMPERATURE = 256, 512, 0.1, 0.07
BATCH, LEARNING_RATE, BETAS, WEIGHT_DECAY, CLIP = 256, 1e-3, (0.9, 0.98), 0.01, 1.0


class Head(nn.Sequential):
    """Projects features."""

    def __init__(self, features: int) -> None:
        super().__init__(
            nn.Linear(features, HIDDEN),
            nn.LayerNorm(HIDDEN),
            nn.GELU("tanh"),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, OUT),
        )


class Towers(nn.Module):
    """Both towers and the logit scale."""

    def __init__(self, features: int, words: int) -> None:
        super().__init__()
        self.sensor, self.text = Head(features), Head(HIDDEN)
        self.words = nn.EmbeddingBag(words, HIDDEN, mode="mean", padding_idx=0)
        self.log_scale = nn.Parameter(torch.tensor(-np.log(TEMPERATURE), dtype=torch.float32))

    def loss(self, features_BxF: torch.Tensor, words_BxW: torch.Tensor, fits_BxB: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of both directions, with targets uniform over whatever fits."""
        sensor_BxD = nn.functional.normalize(self.sensor(features_BxF), dim=-1)
        text_BxD = nn.functional.normalize(self.text(self.words(words_BxW)), dim=-1)
        logits_BxB = self.log_scale.exp() * sensor_BxD @ text_BxD.T
        return (_cross_entropy(logits_BxB, fits_BxB) + _cross_entropy(logits_BxB.T, fits_BxB.T)) / 2


def _cross_entropy(logits_BxB: torch.Tensor, fits_BxB: torch.Tensor) -> torch.Tensor:
    targets_BxB = fits_BxB / fits_BxB.sum(1, keepdim=True)
    return nn.functional.cross_entropy(logits_BxB, targets_BxB)


def embed(pipeline: Any, series_NxVxT: np.ndarray) -> torch.Tensor:
    """Features of all windows, on the CPU, in batches of the pipeline's default size."""
    embeddings, loc_scales = pipeline.embed(series_NxVxT)
    seen_NxVxP = _observed_patches(series_NxVxT, pipeline.model_output_patch_size)
    patches = seen_NxVxP.shape[2]
    hidden_NxVxPxD = torch.stack(embeddings)[:, :, :patches].float()
    pooled = (hidden_NxVxPxD * seen_NxVxP[..., None]).sum(2) / seen_NxVxP.sum(2, keepdim=True).clamp(min=1)
    loc, scale = (torch.stack(parts)[..., 0].float() for parts in zip(*loc_scales, strict=True))
    return torch.cat([pooled.flatten(1), torch.arcsinh(torch.cat([loc, scale], dim=1))], dim=1)


def _observed_patches(series_NxVxT: np.ndarray, patch: int) -> torch.Tensor:
    missing = -series_NxVxT.shape[2] % patch
    seen = np.pad(np.isfinite(series_NxVxT), ((0, 0), (0, 0), (missing, 0)))
    return torch.from_numpy(seen.reshape(*seen.shape[:2], -1, patch).any(-1)).float()


def main() -> None:
    """Trains; writes OUT.json with the seconds of each epoch and when all was done, and the features of the first."""
    setting = Setting.of(sys.argv[1:4])
    tables_file, epochs, out = sys.argv[4:]
    warnings.simplefilter("ignore")
    place = "cuda" if setting.device == "gpu" else "cpu"
    torch.manual_seed(0)
    tables = np.load(tables_file)
    series_NxVxT = tables["series_NxVxT"]
    words_UxW, own_NxC, counts_N = (
        torch.from_numpy(tables[name]).to(place) for name in ("words_UxW", "own_texts_NxC", "counts_N")
    )
    pipeline = load("reference", setting)
    seconds: list[float] = []
    for epoch in range(int(epochs)):
        start = time.monotonic()
        features_NxF = embed(pipeline, series_NxVxT)
        if epoch == 0:
            first_NxF, (deviation_F, mean_F) = features_NxF, torch.std_mean(features_NxF, 0)
            towers = Towers(features_NxF.shape[1], int(words_UxW.max()) + 1).to(place)
            optimizer = torch.optim.AdamW(towers.parameters(), LEARNING_RATE, BETAS, weight_decay=WEIGHT_DECAY)
        standardised_NxF = ((features_NxF - mean_F) / (deviation_F**2 + 1e-6).sqrt()).to(place)
        order_N = torch.randperm(len(features_NxF), device=place)
        for rows_B in order_N.split(BATCH)[: len(order_N) // BATCH]:
            draws_B = (torch.rand(len(rows_B), device=place) * counts_N[rows_B]).long()
            texts_B = own_NxC[rows_B, draws_B]
            fits_BxB = (own_NxC[rows_B][:, :, None] == texts_B[None, None, :]).any(1).float()
            loss = towers.loss(standardised_NxF[rows_B], words_UxW[texts_B], fits_BxB)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(towers.parameters(), CLIP)
            optimizer.step()
        print(f"epoch {epoch}: loss of the last batch {loss.item():.3f}", file=sys.stderr)
        seconds.append(time.monotonic() - start)
    done = time.monotonic()
    np.save(Path(out).with_name(f"{Path(out).name}-features.npy"), first_NxF.numpy())
    Path(out).with_suffix(".json").write_text(json.dumps({"epoch_seconds": seconds, "done": done}))


if __name__ == "__main__":
    main()
