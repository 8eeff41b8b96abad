"""A process that runs chunks of a scan.

It talks over one socket, and lives no longer than the other end of it: when that is closed without a word, as
by `kill -9`, it ends at once, in the middle of a point too.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Thread

COMMAND = (
    "import sys; sys.path[:] = sys.argv[2:]; from lume_services.flows.scans.worker import main; "
    "main(int(sys.argv[1]))"
)
"""Python code that starts a worker. Arguments: the number of its socket, and where modules are looked for."""

END = b""
"""Is sent to a worker for a clean end: after the present point, with all that has run stored."""

READY = "ready"
FATAL = "fatal: "


def main(socket: int) -> None:
    """Take a scan, and then chunks of it, until the other end has had enough.

    Args:
        socket: The number of the socket to it.
    """
    os.set_inheritable(socket, False)
    connection = Connection(socket)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    stop = Event()
    Thread(target=_receive, args=(connection, waiting, stop), daemon=True).start()
    try:
        _work(connection, waiting, stop)
    except Exception as error:  # noqa: BLE001 - it is raised at the other end
        connection.send_bytes(f"{FATAL}{type(error).__name__}: {error}".encode())
    sys.stdout.flush()
    # Threads that a flow has left would keep the process alive.
    os._exit(0)


def _receive(connection: Connection, waiting: SimpleQueue[bytes], stop: Event) -> None:
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(1)
        if message == END:
            stop.set()
        waiting.put(message)


def _work(connection: Connection, waiting: SimpleQueue[bytes], stop: Event) -> None:
    from lume_services.config import unconfigure
    from lume_services.flows.scans.chunk import ChunkRunner
    from lume_services.flows.scans.job import Progress, chunk_of, job_of, to_text

    def tell(progress: Progress) -> None:
        connection.send_bytes(to_text(progress).encode())

    runner = ChunkRunner(job_of(waiting.get().decode()))
    connection.send_bytes(READY.encode())
    while (message := waiting.get()) != END and not stop.is_set():
        runner.run(chunk_of(message.decode()), tell, stop)
    unconfigure()
