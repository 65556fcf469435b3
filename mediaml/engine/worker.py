"""The process that holds one file at a time: `python -m mediaml.engine.worker FD`, started by `mediaml.engine.local`.

It speaks over one socket with its parent: settings in; then for each file a task in, its identity out, the wanted
analyzers in, progress out, the result out. It is started as a command, not forked, so that a user's script is never
imported again and no lock or CUDA context is inherited. It ignores Ctrl-C: the parent decides.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from multiprocessing.connection import Connection
from typing import Any

PROGRESS_SECONDS = 0.25


def main(fd: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connection: Connection[Any, Any] = Connection(fd)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep: several workers share the cores
    try:
        serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


def serve(connection: Connection[Any, Any]) -> None:
    """Answers tasks until the parent sends None."""
    settings = connection.recv()
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.torch_threads))
    warnings.simplefilter("ignore")
    from mediaml.engine.work import FileWorker, Identity

    try:
        worker = FileWorker(settings)
    except Exception as error:
        connection.send(("unable", error))
        return
    connection.send(("ready", None))

    def decide(identity: Identity) -> Any:
        connection.send(("identified", identity))
        return connection.recv()

    while (task := connection.recv()) is not None:
        last = time.monotonic()

        def progress(frames: int, seconds: float) -> None:
            nonlocal last
            if time.monotonic() - last >= PROGRESS_SECONDS:
                last = time.monotonic()
                connection.send(("progress", (frames, seconds)))

        try:
            connection.send(("result", worker.process(task, decide, progress)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            connection.send(("unable", error))
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
