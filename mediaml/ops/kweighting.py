"""The K-weighting filter of ITU-R BS.1770-5 at any sample rate.

The standard gives coefficients for 48 kHz only. Here the two sections are the bilinear transforms of their analogue
prototypes (a high shelf of +4 dB at 1682 Hz and a high pass at 38 Hz), whose parameters reproduce the standard's 48 kHz
coefficients to all printed digits; libebur128 and FFmpeg's ebur128 filter use the same ones.
"""

from __future__ import annotations

from math import pi, tan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.errors import InvalidValue

MINIMUM_RATE_HZ = 4000  # the shelf at 1682 Hz must lie well below half the sample rate

_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_SHELF_BAND_EXPONENT = 0.4996667741545416
_PASS_HZ, _PASS_Q = 38.13547087602444, 0.5003270373238773
_TAIL_SECONDS = 0.125  # the impulse response has fallen by 250 dB


def k_weighting_sections(sample_rate: int) -> NDArray[np.float64]:
    """(2, 6) second-order sections [b0 b1 b2 a0 a1 a2]: shelf, high pass. Raises InvalidValue below 4 kHz."""
    if sample_rate < MINIMUM_RATE_HZ:
        raise InvalidValue(
            f"loudness is not defined at {sample_rate} Hz; the least is {MINIMUM_RATE_HZ} Hz: resample first"
        )
    k = tan(pi * _SHELF_HZ / sample_rate)
    high = 10 ** (_SHELF_DB / 20)
    band = high**_SHELF_BAND_EXPONENT
    a0 = 1 + k / _SHELF_Q + k * k
    shelf_b = [high + band * k / _SHELF_Q + k * k, 2 * (k * k - high), high - band * k / _SHELF_Q + k * k]
    shelf_a = [a0, 2 * (k * k - 1), 1 - k / _SHELF_Q + k * k]
    shelf = [c / a0 for c in (*shelf_b, *shelf_a)]
    k = tan(pi * _PASS_HZ / sample_rate)
    a0 = 1 + k / _PASS_Q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / _PASS_Q + k * k) / a0]
    return np.array([shelf, high_pass])


def frequency_response(sections: NDArray[np.float64], radians: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Complex gain of second-order sections at angular frequencies (radians a sample)."""
    z = np.exp(-1j * np.outer(radians, np.arange(3)))
    return np.prod((z @ sections[:, :3].T) / (z @ sections[:, 3:].T), axis=1)


class KWeighting:
    """The filter over consecutive pieces of at most `piece` samples, by overlap-add in the frequency domain.

    The response is sampled so finely that its impulse response dies within the padding. The result is that of the
    recursive filter in double precision, to 120 dB below the loudest sample of the piece; a recursive filter in single
    precision would be worse at 38 Hz, and one in double precision slower.
    """

    def __init__(self, sample_rate: int, channels: int, piece: int) -> None:
        self._size = fast_length(piece + round(_TAIL_SECONDS * sample_rate))
        radians = 2 * np.pi * np.arange(self._size // 2 + 1) / self._size
        response = frequency_response(k_weighting_sections(sample_rate), radians)
        self._response = torch.from_numpy(response.astype(np.complex64))
        self._tail = torch.zeros(channels, self._size - piece)

    def filter(self, samples: Tensor) -> Tensor:
        """(C, T) float32 in, (C, T) out; T is `piece`, and less only in the last call."""
        if samples.device != self._tail.device:
            self._tail, self._response = self._tail.to(samples.device), self._response.to(samples.device)
        out = torch.fft.irfft(torch.fft.rfft(samples, self._size).mul_(self._response), self._size)
        out[:, : self._tail.shape[1]] += self._tail
        self._tail = out[:, -self._tail.shape[1] :].clone()
        return out[:, : samples.shape[1]]


def fast_length(least: int) -> int:
    """The smallest even length from `least` up whose only prime factors are 2, 3, 5 and 7: a quick FFT."""
    length = least + least % 2
    while True:
        left = length
        for prime in (2, 3, 5, 7):
            while left % prime == 0:
                left //= prime
        if left == 1:
            return length
        length += 2
