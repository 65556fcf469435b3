"""Full-reference measures of sound: aligned mono signals in, one number out."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue, UsageError

Signal = NDArray[np.float32]  # (T,)


def si_sdr(reference: Signal, estimate: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, "SDR - half-baked or well done?").

    Both without their means. +inf is given as 100, and silence on either side raises InvalidValue.
    """
    r = reference.astype(np.float64) - reference.mean(dtype=np.float64)
    e = estimate.astype(np.float64) - estimate.mean(dtype=np.float64)
    energy = float(r @ r)
    if energy <= 0 or float(e @ e) <= 0:
        raise InvalidValue("SI-SDR is not defined where one of the signals is silent")
    target = (float(e @ r) / energy) * r
    noise = e - target
    ratio = float(target @ target) / max(float(noise @ noise), 1e-300)
    return float(np.clip(10 * np.log10(max(ratio, 1e-30)), -100.0, 100.0))


def stoi(reference: Signal, estimate: Signal, rate: int, *, extended: bool = False) -> float | None:
    """Short-time objective intelligibility, about 0 to 1 (Taal et al. 2011; extended: Jensen & Taal 2016), by pystoi.

    None where less than 0.4 s is not silent. Raises UsageError where pystoi is not installed.
    """
    try:
        from pystoi import stoi as measure
    except ImportError as error:
        raise UsageError("STOI needs pystoi; run: pip install 'mediaml[audio]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(measure(reference, estimate, rate, extended=extended))
        except RuntimeWarning:
            return None


def pesq(reference: Signal, estimate: Signal, rate: int) -> float | None:
    """Perceptual evaluation of speech quality as MOS-LQO, 1 to 4.6 (ITU-T P.862.2 at 16 kHz, P.862.1 at 8 kHz), by `pesq`.

    None where no utterance is found. At most 30 s at a time are meant by the standard. Raises InvalidValue for other rates
    and UsageError where the package is not installed.
    """
    if rate not in (8000, 16000):
        raise InvalidValue(f"PESQ is defined at 8000 and 16000 Hz, not {rate}: resample first")
    try:
        from pesq import NoUtterancesError  # pyright: ignore[reportMissingImports]
        from pesq import pesq as measure  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError("PESQ needs the package pesq; run: pip install 'mediaml[pesq]' (it compiles C)") from error
    try:
        return float(measure(rate, reference, estimate, "wb" if rate == 16000 else "nb"))
    except NoUtterancesError:
        return None


def visqol(reference: Signal, estimate: Signal, rate: int, *, speech: bool) -> float | None:
    """ViSQOL as MOS-LQO, 1 to 5, by `visqol-python` (Hines et al. 2015; Chinen et al. 2020, ViSQOL v3).

    speech  at 16 kHz, mapped by the lattice network that Google's tool uses; otherwise audio at 48 kHz, mapped by its
            support vector regression (at most about 4.7)
    None where the sound is too short or too quiet for its patches (0.6 s). Raises InvalidValue for another rate and
    UsageError where the package is not installed.
    """
    wanted = 16000 if speech else 48000
    if rate != wanted:
        raise InvalidValue(f"ViSQOL's {'speech' if speech else 'audio'} mode is defined at {wanted} Hz, not {rate}")
    try:
        judge = _visqol(speech)
    except ImportError as error:
        raise UsageError(
            "ViSQOL needs visqol-python; run: pip install 'mediaml[visqol]' (it compiles libsvm)"
        ) from error
    if reference.size < rate or not reference.any() or not estimate.any():
        return None
    try:
        score = judge.measure_from_arrays(reference.astype(np.float64), estimate.astype(np.float64), rate).moslqo
    except ValueError:
        return None
    return float(score) if np.isfinite(score) else None


@cache
def _visqol(speech: bool) -> Any:
    from visqol import VisqolApi  # pyright: ignore[reportMissingImports]

    made = VisqolApi()
    made.create(mode="speech" if speech else "audio", use_lattice_model=True if speech else None)
    return made
