"""Linear prediction over frames: what a short all-pole model of the sound cannot foresee."""

from __future__ import annotations

import torch
from torch import Tensor

from mediaml.ops.kweighting import fast_length

_LOADING = 1e-4  # white noise added to the model, as a share of the power: keeps the solution stable


def prediction_residual(samples: Tensor, frame: int, order: int) -> Tensor:
    """(C, T) -> (C, frames, frame): the error of predicting each sample from the `order` before it.

    Coefficients are those of each frame (autocorrelation method, Hann window; Makhoul 1975, "Linear prediction: a tutorial
    review"). The samples before the first are taken as zero. What is left after the last whole frame is not looked at.
    """
    channels, frames = samples.shape[0], samples.shape[1] // frame
    if frames == 0:
        return samples.new_zeros(channels, 0, frame)
    padded = torch.nn.functional.pad(samples[:, : frames * frame], (order, 0))
    windows = padded.unfold(1, frame + order, frame)  # (C, F, frame + order)
    body = windows[..., order:] * torch.hann_window(frame, device=samples.device)
    power = torch.fft.rfft(body.double(), fast_length(frame + order + 1)).abs().square()
    correlation = torch.fft.irfft(power)[..., : order + 1]
    correlation[..., 0] = correlation[..., 0] * (1 + _LOADING) + 1e-12
    lags = torch.arange(order, device=samples.device)
    matrix = correlation[..., (lags[:, None] - lags[None, :]).abs()]  # (C, F, order, order)
    taps = torch.linalg.solve(matrix, correlation[..., 1:])  # (C, F, order): weight of the sample k + 1 back
    kernel = torch.cat([-taps.flip(-1), torch.ones_like(taps[..., :1])], dim=-1).to(samples.dtype)
    flat = windows.reshape(1, channels * frames, frame + order)
    out = torch.nn.functional.conv1d(flat, kernel.reshape(channels * frames, 1, order + 1), groups=channels * frames)
    return out.reshape(channels, frames, frame)
