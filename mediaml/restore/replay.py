"""A network's kernels, recorded once and replayed: CUDA graphs.

A light network on a small picture costs the CPU more to launch, kernel by kernel, than the GPU to compute. `torch.compile`
would save launches too, but wants a C compiler where it runs and a minute for each new size.
Source: PyTorch documentation, CUDA semantics, CUDA Graphs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

MOST_RECORDINGS = 4  # each keeps the memory of one run
Apply = Callable[..., Tensor]


class Recording:
    """One run of `apply` on CUDA tensors like `inputs`, to be repeated on others of the same shapes and types."""

    def __init__(self, apply: Apply, inputs: tuple[Tensor, ...]) -> None:
        device = inputs[0].device
        with torch.inference_mode(mode=False), torch.no_grad():
            self._inputs = [x.clone() for x in inputs]
            aside = torch.cuda.Stream(device)
            aside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(aside):
                apply(*self._inputs)  # what libraries set up at their first call must not be recorded
            torch.cuda.current_stream(device).wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # decoding goes on in its own thread
                self._output = apply(*self._inputs)
        self._free = torch.cuda.Event()
        self._free.record()

    def __call__(self, *inputs: Tensor) -> Tensor:
        self._free.wait()  # until a run from another stream has been read
        with torch.no_grad():
            for room, given in zip(self._inputs, inputs, strict=True):
                room.copy_(given)
            self._graph.replay()
            output = self._output.clone()
        self._free.record()
        return output


class Replayed:
    """`apply`, recorded the second time that it sees tensors of the same shapes and types, and replayed from then on.

    `apply` must do the same work each time: nothing that depends on values, nothing on the host. May be called by several
    threads at once.
    """

    def __init__(self, apply: Apply, record: Callable[[Apply, tuple[Tensor, ...]], Apply] = Recording) -> None:
        self._apply, self._record = apply, record
        self._kinds: OrderedDict[tuple, Apply] = OrderedDict()
        self._lock = Lock()

    def __call__(self, *inputs: Tensor) -> Tensor:
        kind = tuple((x.shape, x.dtype) for x in inputs)
        with self._lock:
            known = self._kinds.get(kind)
            if known is None:
                self._kinds[kind] = self._apply
                if len(self._kinds) > MOST_RECORDINGS:
                    self._kinds.popitem(last=False)
                return self._apply(*inputs)
            if known is self._apply:
                known = self._kinds[kind] = self._record(self._apply, inputs)
            self._kinds.move_to_end(kind)
            return known(*inputs)
