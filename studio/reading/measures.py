"""What can honestly be measured of pictures and of sets of pictures. docs/guides/understanding.md defines each one.

Sets are unit vectors [n, d] of an image encoder. Values from different encoders cannot be compared with each other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Vectors = NDArray[np.float32]

SHARPNESS_SIDE = 512
CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0
KID_SUBSETS = 100
KID_SUBSET = 1000
_BLOCK = 1024


def clip_score(picture: Vectors, text: Vectors) -> float:
    """100 x the cosine of two unit vectors [d], 0 where it is negative: CLIPScore as torchmetrics scales it."""
    return 100 * max(float(picture @ text), 0.0)


def light(image: Image.Image) -> dict[str, float]:
    """Plain facts about the pixels: ``sharpness``, ``brightness``, ``contrast`` and ``clipped``.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., 2000) of the luma in 0..255, once the longer side
    is 512 pixels. Brightness and contrast are mean and standard deviation of the luma in 0..1; clipped is the share of
    pixels that are quite black or quite white.
    """
    import cv2

    grey = image.convert("L")
    luma = np.asarray(grey, np.float32) / 255
    longer = max(grey.size)
    size = (max(1, round(grey.width * SHARPNESS_SIDE / longer)), max(1, round(grey.height * SHARPNESS_SIDE / longer)))
    even = np.asarray(grey.resize(size, Image.Resampling.LANCZOS))
    return {
        "sharpness": round(float(cv2.Laplacian(even, cv2.CV_64F).var()), 2),
        "brightness": round(float(luma.mean()), 4),
        "contrast": round(float(luma.std()), 4),
        "clipped": round(float(((luma == 0) | (luma == 1)).mean()), 4),
    }


def frechet(one: Vectors, other: Vectors) -> float:
    """Fréchet distance between Gaussians fitted to two sets of at least 2 (Heusel et al., 2017)."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    if len(one) + len(other) < one.shape[1]:
        # Few vectors span few dimensions; in a basis of these the distance is the same, and far quicker to find.
        basis = np.linalg.qr(np.concatenate([one, other]).T.astype(np.float64))[0]
        one, other = one @ basis, other @ basis
    metric = FrechetInceptionDistance(feature=_as_they_are(one.shape[1])).set_dtype(torch.float64)
    metric.update(torch.from_numpy(one.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(other.astype(np.float64)), real=False)
    return max(float(metric.compute()), 0.0)


def kernel_distance(one: Vectors, other: Vectors, tell: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """KID (Bińkowski et al., 2018): squared MMD with a cubic kernel, ``mean`` and ``std`` over random subsets.

    The subsets are the same at every call. Unbiased, so it may come out a little below 0 for like sets. ``tell`` is
    called between parts of the work, which takes a minute for large sets.
    """
    import warnings

    import torch

    with warnings.catch_warnings():  # it says that it keeps all vectors, which is meant
        warnings.simplefilter("ignore", UserWarning)
        from torchmetrics.image.kid import KernelInceptionDistance

        size, parts = min(len(one), len(other), KID_SUBSET), 20
        identity, subsets = _as_they_are(one.shape[1]), KID_SUBSETS // parts
        metric = KernelInceptionDistance(feature=identity, subsets=subsets, subset_size=size, compute_with_cache=False)
    metric.update(torch.from_numpy(one.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(other.astype(np.float64)), real=False)
    means, stds = np.empty(parts), np.empty(parts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for part in range(parts):
            tell()
            means[part], stds[part] = (float(value) for value in metric.compute())
    spread = float(np.sqrt((stds**2).mean() + means.var()))
    return {"mean": float(means.mean()), "std": spread, "subsets": KID_SUBSETS, "subset_size": size}


def cmmd(one: Vectors, other: Vectors) -> float:
    """CMMD (Jayasumana et al., 2024): squared MMD with a Gaussian kernel of sigma 10 on unit vectors, times 1000.

    The biased estimator, as published: 0 for equal sets, and above 0 for any two different samples.
    """
    return CMMD_SCALE * max(_kernel_mean(one, one) + _kernel_mean(other, other) - 2 * _kernel_mean(one, other), 0.0)


def vendi(vectors: Vectors) -> float:
    """Vendi score (Friedman and Dieng, 2023) with the cosine kernel: how many different pictures a set amounts to.

    The exponential of the entropy of the eigenvalues of K / n: 1 when all are alike, n when no two are.
    """
    rows = vectors.astype(np.float64)
    gram = rows.T @ rows if rows.shape[1] < rows.shape[0] else rows @ rows.T
    shares = np.linalg.eigvalsh(gram / len(rows))
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


class Inception:
    """The network of the published FID, KID and Inception score (Szegedy et al., 2015, with the weights of 2015-12-05).

    ``weights`` is a safetensors file: what is handed around as a pickle is not opened. It runs on the CPU, apart from
    the model manager, and is gone with this object (95 MB).
    """

    def __init__(self, weights: Path) -> None:
        import torch
        from safetensors.torch import load_file
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / "weights.pth"  # the class reads nothing else; this pickle is written here
            torch.save(load_file(weights), own)
            features = ["2048", "logits_unbiased"]
            self._network = FeatureExtractorInceptionV3("inception-v3-compat", features, str(own))

    def look(self, image: Image.Image) -> tuple[Vectors, Vectors]:
        """Features [2048] and class scores [1008], in the resizing of TensorFlow that the published values rest on."""
        import torch

        pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)[None]
        with torch.no_grad():
            features, scores = self._network(pixels)
        return features[0].numpy(), scores[0].numpy()


def inception_score(scores: Vectors) -> float:
    """Of class scores [n, classes] the exponential of the mean divergence of each picture's classes from the set's
    (Salimans et al., 2016), over the whole set at once: between 1 and n."""
    rows = scores.astype(np.float64)
    likely = np.exp(rows - rows.max(1, keepdims=True))
    likely /= likely.sum(1, keepdims=True)
    known = np.log(likely + 1e-12) - np.log(likely.mean(0) + 1e-12)
    return float(np.exp((likely * known).sum(1).mean()))


def likeness(vectors: Vectors, others: Vectors) -> NDArray[np.float32]:
    """Of each vector the cosine with the most alike of ``others``: [n]."""
    parts = [(vectors[at : at + _BLOCK] @ others.T).max(1) for at in range(0, len(vectors), _BLOCK)]
    return np.concatenate(parts)


def _kernel_mean(one: Vectors, other: Vectors) -> float:
    """Mean of exp(-|x - y|² / (2 sigma²)) over all pairs, in blocks; all but 1, so summed in double precision."""
    left, right = one.astype(np.float64), other.astype(np.float64)
    gamma, lengths = 1 / (2 * CMMD_SIGMA**2), (right**2).sum(1)
    total = 0.0
    for at in range(0, len(left), _BLOCK):
        block = left[at : at + _BLOCK]
        apart = (block**2).sum(1)[:, None] + lengths[None] - 2 * block @ right.T
        total += float(np.exp(-gamma * np.maximum(apart, 0)).sum())
    return total / (len(left) * len(right))


def _as_they_are(dimensions: int) -> Any:
    """The feature extractor of torchmetrics for vectors that were made already."""
    import torch

    module = torch.nn.Identity()
    module.num_features = dimensions  # type: ignore[assignment]
    return module
