"""Colour differences as the eye sees them (CIE Lab and CIEDE2000)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_D65 = np.array([0.95047, 1.0, 1.08883])


def rgb_to_lab(rgb: ArrayLike) -> NDArray[np.float64]:
    """sRGB in 0..255, last axis 3, to CIE Lab (D65)."""
    c = np.asarray(rgb, np.float64) / 255
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = c @ _TO_XYZ.T / _D65
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def delta_e(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """CIEDE2000 between Lab colours (broadcast over leading axes).

    Formula: Sharma, Wu, Dalal, "The CIEDE2000 Color-Difference Formula", Color Research and Application 30 (2005).
    """
    x, y = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    c_mean = (np.hypot(x[..., 1], x[..., 2]) + np.hypot(y[..., 1], y[..., 2])) / 2
    g = 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + 25.0**7)))
    a1, a2 = (1 + g) * x[..., 1], (1 + g) * y[..., 1]
    c1, c2 = np.hypot(a1, x[..., 2]), np.hypot(a2, y[..., 2])
    h1, h2 = np.degrees(np.arctan2(x[..., 2], a1)) % 360, np.degrees(np.arctan2(y[..., 2], a2)) % 360
    chroma = c1 * c2 > 0
    dh = np.where(chroma, (h2 - h1 + 180) % 360 - 180, 0.0)
    d_l, d_c, d_h = y[..., 0] - x[..., 0], c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh) / 2)
    l_m, c_m = (x[..., 0] + y[..., 0]) / 2, (c1 + c2) / 2
    total = h1 + h2
    h_m = np.where(np.abs(h1 - h2) <= 180, total / 2, np.where(total < 360, (total + 360) / 2, (total - 360) / 2))
    h_m = np.where(chroma, h_m, total)
    t = (
        1 - 0.17 * np.cos(np.radians(h_m - 30)) + 0.24 * np.cos(np.radians(2 * h_m))
        + 0.32 * np.cos(np.radians(3 * h_m + 6)) - 0.20 * np.cos(np.radians(4 * h_m - 63))
    )  # fmt: skip
    s_l = 1 + 0.015 * (l_m - 50) ** 2 / np.sqrt(20 + (l_m - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c_m, 1 + 0.015 * c_m * t
    r_c = 2 * np.sqrt(c_m**7 / (c_m**7 + 25.0**7))
    r_t = -np.sin(np.radians(60 * np.exp(-(((h_m - 275) / 25) ** 2)))) * r_c
    return np.sqrt((d_l / s_l) ** 2 + (d_c / s_c) ** 2 + (d_h / s_h) ** 2 + r_t * (d_c / s_c) * (d_h / s_h))
