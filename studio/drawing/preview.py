"""Small pictures of what is not finished yet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

PREVIEW_SECONDS = 0.1
PREVIEW_SHARE = 0.025
"""Previews may cost this share of the time between them."""

_costs: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
"""Seconds that the last preview took, by autoencoder: the first of the next picture waits its share as well."""

_projections: WeakKeyDictionary[Any, torch.Tensor | None] = WeakKeyDictionary()


class Preview:
    """Small pictures of unfinished latents, never more often than ten a second nor for more than 2.5 % of the time."""

    def __init__(self, pipe: Any, width: int, height: int) -> None:
        self._pipe = pipe
        self._width, self._height = width, height
        self._next = time.perf_counter() + _costs.get(pipe.vae, 0.0) / PREVIEW_SHARE

    def __call__(self, latents: torch.Tensor) -> Image | None:
        """A picture of the first of ``latents`` (B, C, h, w) or (B, h*w, C); None when it is too soon for one."""
        started = time.perf_counter()
        if started < self._next:
            return None
        image = self.render(latents)
        ended = time.perf_counter()
        _costs[self._pipe.vae] = ended - started
        self._next = ended + max(PREVIEW_SECONDS, (ended - started) / PREVIEW_SHARE)
        return image

    def render(self, latents: torch.Tensor) -> Image | None:
        """The picture itself; None when the family's autoencoder gives no usable colours."""
        import torch

        with torch.no_grad():
            pixels = self._pixels(self._clean(latents)[:1])
        if pixels is None:
            return None
        from PIL import Image

        array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return Image.fromarray(array)

    def _clean(self, latents: torch.Tensor) -> torch.Tensor:
        """The sampler's own guess at the finished latents where it keeps one, else the noisy ones at unit variance."""
        scheduler = self._pipe.scheduler
        predicts = scheduler.config.get("predict_x0") or scheduler.config.get("algorithm_type") == "dpmsolver++"
        guesses = [guess for guess in getattr(scheduler, "model_outputs", None) or [] if guess is not None]
        if predicts and guesses and guesses[-1].shape == latents.shape:
            return guesses[-1]
        return latents / latents.std().clamp(min=1.0)

    def _pixels(self, latents: torch.Tensor) -> torch.Tensor | None:
        """(h, w, 3) in 0..1."""
        from diffusers import AutoencoderTiny

        vae: Any = self._pipe.vae
        if issubclass(type(vae), AutoencoderTiny):
            decoded = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample
            return (decoded[0].permute(1, 2, 0).float() + 1) / 2
        if latents.dim() == 3:
            latents = self._unpack(latents)
        else:
            latents = latents / vae.config.scaling_factor + (vae.config.get("shift_factor") or 0.0)
        if vae not in _projections:
            _projections[vae] = _fit_projection(vae, self._pipe.vae_scale_factor)
        matrix = _projections[vae]
        if matrix is None:
            return None
        grid = latents[0].permute(1, 2, 0).float()
        return grid @ matrix[:-1] + matrix[-1]

    def _unpack(self, latents: torch.Tensor) -> torch.Tensor:
        """FLUX.2's normalised 2 x 2 patches, row by row, back to the autoencoder's latents."""
        import torch

        vae, side = self._pipe.vae, self._pipe.vae_scale_factor * 2
        rows, columns = self._height // side, self._width // side
        packed = latents.permute(0, 2, 1).reshape(1, -1, rows, columns)
        mean = vae.bn.running_mean.view(1, -1, 1, 1).to(packed)
        deviation = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).to(packed)
        return self._pipe._unpatchify_latents(packed * deviation + mean)


def _fit_projection(vae: Any, factor: int) -> torch.Tensor | None:
    """(C + 1, 3) matrix from one latent cell to the colour of its pixels, by least squares on a known picture.

    The picture is smooth random colours, 32 x 32 cells, encoded once per loaded autoencoder. None when it cannot be
    encoded in finite numbers.
    """
    import copy

    import torch

    generator = torch.Generator("cpu").manual_seed(0)
    colours = torch.rand(1, 3, 12, 12, generator=generator)
    picture = torch.nn.functional.interpolate(colours, size=(32 * factor, 32 * factor), mode="bilinear")
    if vae.dtype == torch.float16:
        # SDXL's autoencoder overflows in float16; a copy keeps the one in use as it is.
        vae = copy.deepcopy(vae).float()
    device = vae.device
    latents = vae.encode((picture * 2 - 1).to(device, vae.dtype)).latent_dist.mode()
    cells = latents[0].flatten(1).T.float()
    cells = torch.cat([cells, torch.ones_like(cells[:, :1])], dim=1)
    wanted = torch.nn.functional.avg_pool2d(picture, factor)[0].flatten(1).T.to(device)
    if not torch.isfinite(cells).all():
        return None
    # On the CPU in float64: LAPACK's driver for rank-deficient systems exists only there.
    solved = torch.linalg.lstsq(cells.cpu().double(), wanted.cpu().double(), driver="gelsd").solution
    return solved.float().to(device)
