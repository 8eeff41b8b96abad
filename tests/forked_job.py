"""A job for the tests of the fork server: does what its first argument says, and tells of it as JSON."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np


def tell(value):
    print(json.dumps(value), flush=True)


def surroundings():
    tell(
        {
            "arguments": sys.argv,
            "path": sys.path[0],
            "folder": os.getcwd(),
            "main": sys.modules["__main__"].__spec__.name,
            "threads": threading.active_count(),
            "product": float((np.ones((200, 200)) @ np.ones((200, 200))).sum()),
            "environment": dict(os.environ),
            "input": sys.stdin.read(),
            "handler": str(signal.getsignal(signal.SIGTERM)),
            "masked": [str(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        }
    )


def opened():
    folder = Path("/proc/self/fd")
    numbers = sorted(int(name) for name in os.listdir(folder))[:-1]  # the last is that of the list itself
    tell([os.readlink(folder / str(number)).partition(":")[0] for number in numbers])


def draw():
    tell([os.getpid(), np.random.rand(), random.random()])


def parent():
    tell([os.getppid(), os.getpgid(0) == os.getpid()])


def leave(code):
    sys.exit(int(code))


def fail():
    raise ValueError("beam lost")


def kill(number):
    os.kill(os.getpid(), int(number))


def sleep():
    tell(os.getpid())
    time.sleep(60)


def end(name):
    tell(os.getpid())
    time.sleep(2)
    Path(name).touch()


if __name__ == "__main__":
    print(sys.argv[1], file=sys.stderr)
    globals()[sys.argv[1]](*sys.argv[2:])
