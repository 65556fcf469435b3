"""Transcripts by Whisper (CTranslate2), of stretches in which somebody speaks.

A model is chosen by its address: `whisper:tiny.en` (packaged), or `whisper:FOLDER` for a model that was converted for
CTranslate2 (model.bin, config.json, tokenizer.json, vocabulary.*).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.analyzers.base import Analyzer, analyzer_family
from mediaml.errors import InvalidValue, UsageError, WeightsAbsent, printable
from mediaml.nets.silero_vad import CHUNK, SAMPLE_RATE, SileroVad, SpeechProbability
from mediaml.ops.voice_chunks import VoiceChunk, VoiceChunks
from mediaml.spec import AudioView, Column, Need, Spec, Table

PACKAGED = ("tiny.en",)
_FILES = {"model": "model.bin", "config": "config.json", "tokenizer": "tokenizer.json", "vocabulary": "vocabulary.txt"}
_LEAST_LOG_PROBABILITY = -1.0  # mean of a segment's tokens; Whisper's own limit for a failed decoding
_NO_SPEECH = 0.6  # Whisper's own
_LEAST_CONFIDENCE = 0.35  # mean probability of a segment's words
_LEAST_VOICED = 0.5  # share of a word's time that must lie in speech, a tenth of a second around it allowed


class Transcript(RunAnalyzer):
    """Words with times. Voice activity (Silero) comes first: what is not speech never reaches the recogniser.

    Stretches of speech of up to 28 s are decoded one by one, without the text before (so that one error does not repeat).
    A segment is dropped where Whisper's mean log probability is below -1, its no-speech probability above 0.6, or its words'
    mean probability below 0.35; a word, where less than half of it lies in detected speech.

    transcripts   one row a segment: text, language, confidence (mean probability of its words), words with times
    files         spoken_words; transcript_language (of the first stretch, null without one); transcript_confidence
    """

    piece_seconds = 1.024
    model: ClassVar[str]

    @property
    def parameters(self) -> Mapping[str, str]:
        return {"model": self.model if self.model in PACKAGED else "own"}

    def check(self) -> None:
        """Refuses a folder that is no model, and an absent package."""
        _whisper_class()
        if self.model not in PACKAGED:
            for name in ("config.json", "tokenizer.json"):
                if not (Path(self.model) / name).is_file():
                    raise InvalidValue(f"{printable(self.model)} has no {name}: not a Whisper model for CTranslate2")

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._vad = SileroVad.from_file(weights.resolve("silero_vad_16k_onnx"))
        if self.model not in PACKAGED:
            self._whisper = _loaded(self.model, device)
            return
        with tempfile.TemporaryDirectory(prefix="mediaml-whisper-") as folder:  # the model is in memory when it goes
            for part, name in _FILES.items():
                (Path(folder) / name).symlink_to(weights.resolve(_packaged(self.model, part)))
            self._whisper = _loaded(folder, device)

    def reset(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def begin_run(self) -> None:
        self._speech = SpeechProbability(self._vad)
        self._chunks = VoiceChunks(SAMPLE_RATE, CHUNK)

    def add(self, piece: Tensor) -> None:
        samples = piece[0].cpu()
        for chunk in self._chunks.push(samples, self._speech.push(samples)):
            self._recognise(chunk)

    def end_run(self) -> None:
        for chunk in (*self._chunks.push(torch.zeros(0), self._speech.flush()), *self._chunks.flush()):
            self._recognise(chunk)

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        found = sorted(self._rows, key=lambda r: r["start_seconds"])
        names = ("start_seconds", "end_seconds", "text", "language", "confidence", "words")
        probabilities = [w[3] for r in found for w in json.loads(r["words"])]
        files = {
            "spoken_words": [len(probabilities)],
            "transcript_language": [found[0]["language"] if found else None],
            "transcript_confidence": [sum(probabilities) / len(probabilities) if probabilities else None],
        }
        return {Table.TRANSCRIPTS: {n: [r[n] for r in found] for n in names}, Table.FILES: files}

    def _recognise(self, chunk: VoiceChunk) -> None:
        segments, info = self._whisper.transcribe(
            chunk.samples.numpy(),
            word_timestamps=True,
            vad_filter=False,
            condition_on_previous_text=False,
            beam_size=5,
            temperature=0.0,
            without_timestamps=False,
        )
        begin = chunk.start_sample / SAMPLE_RATE
        voiced = [(a / SAMPLE_RATE - 0.1, b / SAMPLE_RATE + 0.1) for a, b in chunk.voiced]
        for segment in segments:
            if segment.avg_logprob < _LEAST_LOG_PROBABILITY or segment.no_speech_prob > _NO_SPEECH:
                continue
            self._keep(segment.words or (), begin, voiced, info.language)

    def _keep(self, words: Any, begin: float, voiced: list[tuple[float, float]], language: str) -> None:
        kept = []
        for word in words:
            start, end = begin + word.start, begin + max(word.end, word.start + 0.02)
            inside = sum(max(0.0, min(end, b) - max(start, a)) for a, b in voiced)
            if inside >= _LEAST_VOICED * (end - start) and word.word.strip():
                kept.append((word.word, start, end, float(word.probability)))
        if not kept or sum(w[3] for w in kept) / len(kept) < _LEAST_CONFIDENCE:
            return
        times = [[w.strip(), round(self.origin + a, 3), round(self.origin + b, 3), round(p, 4)] for w, a, b, p in kept]
        self._rows.append(
            {
                "start_seconds": times[0][1],
                "end_seconds": max(t[2] for t in times),  # type: ignore[type-var]
                "text": re.sub(r"\s+", " ", "".join(w[0] for w in kept)).strip(),
                "language": language,
                "confidence": min(1.0, sum(w[3] for w in kept) / len(kept)),
                "words": json.dumps(times, ensure_ascii=False),
            }
        )


def _packaged(model: str, part: str) -> str:
    return f"whisper_{model.replace('.', '_')}_{part}"


def _loaded(folder: str, device: torch.device) -> Any:
    kind = "cuda" if device.type == "cuda" else "cpu"
    return _whisper_class()(folder, device=kind, compute_type="int8", cpu_threads=1, num_workers=1)


def _whisper_class() -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise UsageError("transcripts need faster-whisper; run: pip install 'mediaml[transcribe]'") from error
    return WhisperModel


@analyzer_family("whisper")
@cache
def whisper_analyzer(address: str) -> type[Analyzer]:
    """The analyzer of `whisper:MODEL`. Raises InvalidValue where it is neither a packaged model nor a folder with one."""
    model = address.removeprefix("whisper:")
    if model in PACKAGED:
        names = tuple(_packaged(model, part) for part in _FILES)
        label = model
    else:
        folder = Path(model).expanduser().absolute()
        if not (folder / "model.bin").is_file():
            raise WeightsAbsent(
                f"{printable(model)} is neither a packaged model ({', '.join(PACKAGED)}) nor a folder that holds a "
                "model.bin for CTranslate2; convert one with ct2-transformers-converter"
            )
        model, label, names = str(folder), "own", (f"@{folder / 'model.bin'}",)
    spec = Spec(
        name="transcript_" + re.sub(r"[^a-z0-9]+", "_", label),
        version=1,
        summary=f"words with times, Whisper {label}",
        outputs=(
            Column("spoken_words", "int32", "words", "words recognised", Table.FILES, minimum=0),
            Column(
                "transcript_language", "string", "ISO 639-1", "language of the first words", Table.FILES, nullable=True
            ),
            Column(
                "transcript_confidence", "float64", "1", "mean probability of the words", Table.FILES, minimum=0.0,
                maximum=1.0, nullable=True,
            ),
        ),
        need=Need(AudioView(SAMPLE_RATE, "mono")),
        ordered=True,
        weights=("silero_vad_16k_onnx", *names),
        groups=("audio", "speech"),
        default=False,
        cite="Radford et al. 2022, Whisper, arXiv:2212.04356; CTranslate2",
        licence="MIT",
        cost_ms=150.0,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "spec": spec,
        "model": model,
        "address": f"whisper:{model}",
        "__doc__": Transcript.__doc__,
    }
    return type("WhisperTranscript", (Transcript,), fields)
