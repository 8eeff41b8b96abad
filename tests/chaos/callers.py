"""Callers: each runs flows one after the other, and remembers what it was told."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from chaos.flows import measured
from lume_services.config import Context, use_context
from lume_services.errors import APIUnreachableError, RunTimeoutError


@dataclass
class Answer:
    """What a caller was told of one value.

    Attributes:
        value: What the run was for.
        run_id: The run, if the caller was told of one.
        told: The value that came back, or the error.
    """

    value: int
    run_id: str | None
    told: Any


class Callers:
    """Callers that ask until they are told to stop, and then wait for their last answer."""

    def __init__(self, context: Context, folder: str, seed: int) -> None:
        self.answers: list[Answer] = []
        self._context = context
        self._folder = folder
        self._random = random.Random(seed)
        self._values = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @contextmanager
    def asking(self, count: int) -> Iterator[None]:
        """Have so many of them ask during the block."""
        threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
        for thread in threads:
            thread.join(300)
            if thread.is_alive():
                raise TimeoutError("a caller waits for its answer for ever")

    def _ask(self) -> None:
        with use_context(self._context):
            while not self._stop.is_set():
                with self._lock:
                    value = next(self._values)
                    seconds = self._random.choice((0, 0, 0.5, 3))
                    timeout = self._random.choice((None, None, None, 5))
                answer = Answer(value, None, None)
                try:
                    answer.told = self._answer(answer, seconds, timeout)
                except BaseException as error:
                    answer.told = error
                self.answers.append(answer)

    def _answer(self, answer: Answer, seconds: float, timeout: float | None) -> Any:
        handle = self._sent(answer.value, seconds)
        answer.run_id = handle.run_id
        try:
            return handle.result(timeout)
        except RunTimeoutError:
            while True:
                try:
                    handle.cancel()
                except APIUnreachableError:
                    time.sleep(0.5)
                else:
                    raise

    def _sent(self, value: int, seconds: float) -> Any:
        """Send a run, again and again while no server answers: by its key it is the same one."""
        key = str(uuid4())
        parameters = {"folder": self._folder, "value": value, "seconds": seconds}
        while True:
            try:
                return self._context.scheduling_service().run(measured, parameters, idempotency_key=key)
            except APIUnreachableError:
                time.sleep(0.5)
