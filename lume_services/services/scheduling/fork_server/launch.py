"""Stands for one job: lets the fork server start it, passes signals on to it, and ends the way it ends.

It is run by its path and without site-packages, and imports nothing but the standard library, so that it
starts in 20 ms. Where no server answers, or the server declines, it becomes the interpreter it stands for.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

LENGTH, NUMBER = struct.Struct("!Q"), struct.Struct("!i")
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(address: str, *arguments: str) -> None:
    """Run `python -m` with the arguments."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            _ask(server, arguments)
            pid = _number(server)
        except OSError:
            pid = 0
        if pid:
            _stand_for(pid, server)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    os.execvp("python", ["python", "-m", *arguments])  # noqa: S606, S607 - as the command of the job says


def _ask(server: socket.socket, arguments: tuple[str, ...]) -> None:
    job = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - pathlib takes 5 ms
    request = json.dumps(job).encode()
    socket.send_fds(server, [LENGTH.pack(len(request))], [0, 1, 2])
    server.sendall(request)


def _number(server: socket.socket) -> int:
    received = server.recv(NUMBER.size, socket.MSG_WAITALL)
    if len(received) < NUMBER.size:
        raise ConnectionError("The fork server has gone.")
    number: int = NUMBER.unpack(received)[0]
    return number


def _stand_for(pid: int, server: socket.socket) -> None:
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: _kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    try:
        code = _number(server)
    except OSError:
        # Nobody else can tell how the job ends, so that it must not go on.
        code = -signal.SIGKILL
        _kill(pid, signal.SIGKILL)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
