"""CLAP (Wu et al. 2023) through transformers' ClapModel: both towers out of a folder as transformers saves it.

Needed in the folder: config.json, model.safetensors, preprocessor_config.json, and the tokenizer's files for texts. Pickled
weights and code in the folder are never run. The log-mels are computed here; tests hold them against transformers' extractor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from mediaml.errors import InvalidValue, UsageError, WeightsAbsent, WeightsCorrupt, printable

WEIGHTS, CONFIG, FRONT_END = "model.safetensors", "config.json", "preprocessor_config.json"
_LARGEST_JSON = 10_000_000
_FLOOR = 1e-10
_MOST_BANDS, _MOST_DIMENSIONS = 1024, 16384


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What preprocessor_config.json says; `fused` models take four log-mels, which are the same for sounds that fit."""

    sample_rate: int
    seconds: int
    fft: int
    hop: int
    bands: int
    low_hz: float
    high_hz: float
    fused: bool
    padding: str

    @property
    def samples(self) -> int:
        return self.sample_rate * self.seconds


def front_end(folder: Path) -> FrontEnd:
    """Raises WeightsAbsent, WeightsCorrupt."""
    given = _json(folder, FRONT_END)
    try:
        found = FrontEnd(
            int(given.get("sampling_rate", 48000)),
            int(given.get("max_length_s", given.get("chunk_length_s", 10))),
            int(given.get("fft_window_size", 1024)),
            int(given.get("hop_length", 480)),
            int(given.get("feature_size", 64)),
            float(given.get("frequency_min", 0)),
            float(given.get("frequency_max", 14000)),
            given.get("truncation", "fusion") == "fusion",
            str(given.get("padding", "repeatpad")),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsCorrupt(f"{printable(folder)}: {FRONT_END} holds no front end of CLAP: {error}") from error
    lengths = 1 <= found.seconds <= 60 and 16 <= found.hop <= found.fft <= 8192 and 1 <= found.bands <= _MOST_BANDS
    if not (
        8000 <= found.sample_rate <= 192000 and lengths and 0 <= found.low_hz < found.high_hz <= found.sample_rate / 2
    ):
        raise WeightsCorrupt(f"{printable(folder)}: {FRONT_END} is out of range: {found}")
    if found.padding not in ("repeatpad", "repeat", "pad") or given.get("top_db") is not None:
        raise WeightsCorrupt(f"{printable(folder)}: padding {found.padding!r} or a top_db is not supported")
    return found


def dimensions(folder: Path) -> int:
    """Of the joint space. Raises WeightsAbsent, WeightsCorrupt where config.json is not that of a ClapModel."""
    given = _json(folder, CONFIG)
    if given.get("model_type") != "clap":
        raise WeightsCorrupt(f"{printable(folder)}: {CONFIG} is of a {given.get('model_type')!r} model, not of 'clap'")
    found = given.get("projection_dim", 512)
    if type(found) is not int or not 1 <= found <= _MOST_DIMENSIONS:
        raise WeightsCorrupt(
            f"{printable(folder)}: projection_dim {found!r} must be a number from 1 to {_MOST_DIMENSIONS}"
        )
    return found


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise WeightsAbsent(f"{printable(folder)}: there is no {name}; a CLAP folder is what transformers saves")
    try:
        found = json.loads(path.read_text("utf-8")) if path.stat().st_size <= _LARGEST_JSON else None
    except (ValueError, RecursionError) as error:
        raise WeightsCorrupt(f"{printable(path)} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise WeightsCorrupt(f"{printable(path)} is not a JSON object of at most {_LARGEST_JSON} bytes")
    return found


class LogMel:
    """(N, samples) of at most the model's length -> (N, 1 or 4, frames, bands) in dB, as ClapFeatureExtractor does."""

    def __init__(self, front: FrontEnd) -> None:
        from transformers.audio_utils import mel_filter_bank

        self._front, self._window = front, torch.hann_window(front.fft)
        norm, scale = (None, "htk") if front.fused else ("slaney", "slaney")
        bank = mel_filter_bank(
            front.fft // 2 + 1, front.bands, front.low_hz, front.high_hz, front.sample_rate, norm=norm, mel_scale=scale
        )
        self._bank = torch.from_numpy(bank).float()

    def __call__(self, samples: Tensor) -> Tensor:
        front, device = self._front, samples.device
        spectrum = torch.stft(
            self._padded(samples), front.fft, front.hop, window=self._window.to(device), return_complex=True
        )
        power = spectrum.abs().square().transpose(1, 2) @ self._bank.to(device)
        mel = 10 * power.clamp(min=_FLOOR).log10()[:, None]
        return mel.expand(-1, 4, -1, -1) if front.fused else mel

    def _padded(self, samples: Tensor) -> Tensor:
        wanted, have = self._front.samples, samples.shape[1]
        if not 0 < have <= wanted:
            raise InvalidValue(f"{have} samples do not fit a window of 1 to {wanted}")
        if self._front.padding != "pad" and have < wanted:
            samples = samples.repeat(1, wanted // have + (self._front.padding == "repeat"))[:, :wanted]
        return torch.nn.functional.pad(samples, (0, wanted - samples.shape[1]))


class ClapNet:
    """Both towers; vectors of unit length."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Raises UsageError where transformers is not installed; WeightsAbsent, WeightsCorrupt."""
        try:
            from transformers import ClapConfig, ClapModel
        except ImportError as error:
            raise UsageError("CLAP needs transformers; run: pip install 'mediaml[clap]'") from error
        dimensions(folder)
        if not (folder / WEIGHTS).is_file():
            raise WeightsAbsent(f"{printable(folder)}: there is no {WEIGHTS}; pickled weights (.bin) are not read")
        self._folder, self._device, self.front = folder, device, front_end(folder)
        self._mel = LogMel(self.front)
        try:
            config = ClapConfig.from_pretrained(str(folder), local_files_only=True)
            _check_size(ClapModel, config, folder)
            self._model: Any = _loaded(ClapModel(config), folder)
        except Exception as error:  # whatever transformers makes of a config.json that makes no sense
            raise WeightsCorrupt(f"{printable(folder)} does not hold a ClapModel: {error}") from error
        self._model = self._model.to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def sounds(self, samples: Tensor) -> Tensor:
        """(N, samples) mono at `front.sample_rate`, at most `front.samples` -> (N, D)."""
        mel = self._mel(samples.to(self._device))
        longer = torch.zeros(mel.shape[0], 1, dtype=torch.bool, device=mel.device)
        return _vectors(self._model.get_audio_features(input_features=mel, is_longer=longer))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str], templates: Sequence[str] = ("{}",)) -> Tensor:
        """(N, D): the mean over the templates."""
        tokens = self._tokenizer([t.replace("{}", text) for text in texts for t in templates])
        given = {k: torch.tensor(v, device=self._device) for k, v in tokens.items() if k != "token_type_ids"}
        vectors = _vectors(self._model.get_text_features(**given)).reshape(len(texts), len(templates), -1)
        return torch.nn.functional.normalize(vectors.mean(dim=1), dim=1).cpu()

    @property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            made = AutoTokenizer.from_pretrained(str(self._folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the tokenizers package raises Exception itself
            raise WeightsAbsent(f"{printable(self._folder)}: no tokenizer for texts: {error}") from error
        longest = min(int(made.model_max_length), 512)
        return lambda texts: made(texts, padding=True, truncation=True, max_length=longest)


def _check_size(kind: Any, config: Any, folder: Path) -> None:
    """Before any memory is taken: a config.json of a model larger than the weights beside it is refused."""
    with safe_open(folder / WEIGHTS, "pt") as file:
        held = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  # no dict
    with torch.device("meta"):
        wanted = sum(p.numel() for p in kind(config).parameters())
    if wanted > held:
        raise ValueError(f"{CONFIG} is of a model with {wanted:,} weights, {WEIGHTS} holds {held:,}")


def _loaded(model: Any, folder: Path) -> Any:
    """`model` with every tensor of the file; those that transformers computes itself may be absent or over."""
    tensors = load_file(folder / WEIGHTS)
    computed = {n for n, _ in model.named_buffers()} | {"text_model.embeddings.position_ids"}
    result = model.load_state_dict(tensors, strict=False)
    absent, over = set(result.missing_keys) - computed, set(result.unexpected_keys) - computed
    if absent or over:
        raise RuntimeError(f"{len(absent)} tensors are absent and {len(over)} are over: {sorted(absent | over)[:3]}")
    return model


def _vectors(out: Any) -> Tensor:
    """transformers 5 gives the projected vectors as `pooler_output`, 4 as a tensor; both of unit length."""
    found = out if isinstance(out, Tensor) else out.pooler_output
    return torch.nn.functional.normalize(found.float(), dim=-1)
