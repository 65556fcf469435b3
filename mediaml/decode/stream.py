"""MediaStream: one file decoded once, beside its consumer, for all of a plan's needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from threading import Thread
from types import TracebackType
from typing import NamedTuple

import torch

from mediaml.decode.device_lanes import DevicePictures
from mediaml.decode.device_views import on_device
from mediaml.decode.handover import Handover, Stopped
from mediaml.decode.lanes import Pictures
from mediaml.decode.nvdec import accelerator, why_software
from mediaml.decode.opening import open_container
from mediaml.decode.passes import run_plan
from mediaml.decode.plan import Plan
from mediaml.decode.report import NVDEC, SOFTWARE, DecodeReport
from mediaml.errors import NothingDecoded
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Need

QUEUE_BYTES = 64 << 20


class Delivery(NamedTuple):
    """A batch for everyone whose need equals `need`."""

    need: Need
    batch: FrameBatch | AudioBlock


class MediaStream:
    """Decodes `path` as `plan` says, in its own thread, and yields deliveries as they are completed.

    Batches of one need come in display order; those of different needs interleave. At most `queue_bytes` wait between
    the thread and the consumer (one delivery may exceed it), so memory does not grow with duration. Leaving the `with`
    block stops the thread. On another device than the CPU, samples, views and planes arrive there; batches with native
    planes can make any rgb view there (`batch.view`). On CUDA, NVDEC decodes what it can (`nvdec.why_software`), and its
    pictures stay there; the rest is decoded and scaled on the CPU and uploaded once. `report.decoder` says which, and why.
    `report` is complete when the iteration has ended.

    Iterating raises MediaError: what `open_container` raises, CodecUnsupported, LimitExceeded (a picture larger than
    the plan's `max_pixels`), NothingDecoded. Faults inside the file that leave something to decode are in
    `report.problems`. Any other exception of the thread surfaces in the consumer too.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        media: MediaInfo,
        plan: Plan,
        *,
        device: torch.device | str = "cpu",
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.path = os.fspath(path)
        self.media = media
        self.plan = plan
        self.device = torch.device(device)
        self.report = DecodeReport(mode=plan.mode)
        self._queue: Handover[Delivery] = Handover(queue_bytes)
        self._thread: Thread | None = None

    def __enter__(self) -> MediaStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the thread and waits until it has gone."""
        self._queue.stop()
        if self._thread is not None:
            self._thread.join()

    @property
    def queue_peak_bytes(self) -> int:
        """The most that ever waited between the thread and the consumer."""
        return self._queue.peak_bytes

    def __iter__(self) -> Iterator[Delivery]:
        if self._thread is not None:
            raise RuntimeError("a MediaStream can be iterated once")
        if not self.plan.lanes:
            return
        self._thread = Thread(target=self._run, name="mediaml decode", daemon=True)
        self._thread.start()
        try:
            while (delivery := self._queue.get()) is not None:
                hand_over(delivery.batch)
                yield delivery
        finally:
            self.close()

    def _emit(self, need: Need, batch: FrameBatch | AudioBlock) -> None:
        if batch.device.type != self.device.type:
            batch = on_device(batch, self.device)
        self._queue.put(Delivery(need, batch), batch.nbytes)

    def _decode(self) -> None:
        why = why_software(self.path, self.media, self.plan, self.device)
        self.report.decoder = NVDEC if why is None else SOFTWARE
        self.report.why_software = why if why and self.device.type == "cuda" else ""
        reopen = partial(open_container, self.path, accelerator(self.device) if why is None else None)
        make = partial(DevicePictures, device=self.device) if why is None else Pictures
        run_plan(reopen, self.media, self.plan, self.report, self._emit, self._queue, make)

    def _run(self) -> None:
        error: BaseException | None = None
        began = time.thread_time()
        try:
            self._decode()
            if self.report.frames_decoded == 0 and self.report.samples_decoded == 0:
                raise NothingDecoded(self.path, _nothing(self.report))
        except Stopped:
            self.report.ended_early = True
        except BaseException as caught:
            error = caught
        finally:
            self.report.cpu_seconds = time.thread_time() - began
            self._queue.close(error)


def hand_over(batch: FrameBatch | AudioBlock) -> None:
    """Lets the consumer's CUDA stream, where it is not the default one, wait for what the decode thread has queued there."""
    if batch.device.type != "cuda":
        return
    default, mine = torch.cuda.default_stream(batch.device), torch.cuda.current_stream(batch.device)
    if mine == default:
        return
    mine.wait_stream(default)
    for tensor in batch.tensors():
        tensor.record_stream(
            mine
        )  # its memory belongs to the default stream: not to be given away before this one is done


def _nothing(report: DecodeReport) -> str:
    first = next(iter(report.problems), None)
    why = f"; first of {report.problems.count} faults: {first.message}" if first else ""
    return f"not one frame or sample could be decoded{why}"
