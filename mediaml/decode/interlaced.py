"""Interlaced frames as whole pictures."""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph


class WholePictures:
    """Takes away the interlaced flag, without copying, so that swscale scales a frame as one picture.

    swscale resamples the fields of a flagged frame one by one and weaves them again: combs at a twentieth of the size, and
    unequal fields where the height is odd. As one picture the fields blend, which is what a small view should show.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._for: tuple[str, int, int] | None = None

    def whole(self, frame: av.VideoFrame) -> av.VideoFrame:
        if not frame.interlaced_frame:
            return frame
        seen = (frame.format.name, frame.width, frame.height)
        if self._graph is None or seen != self._for:
            self._graph, self._for = _graph(frame), seen
        self._graph.vpush(frame)
        return self._graph.vpull()


def _graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 90000))
    graph.link_nodes(source, graph.add("setfield", "mode=prog"), graph.add("buffersink")).configure()
    return graph
