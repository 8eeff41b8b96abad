"""Kill a server, workers and jobs at random while callers rely on their answers, and see what became of it.

`python tests/chaos --seconds 900 --seed 1 --runs 200` prints figures, and ends with 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent)]

from chaos.callers import Callers  # noqa: E402
from chaos.checks import faults, runs_of  # noqa: E402
from chaos.flows import measured  # noqa: E402
from chaos.place import Place, place  # noqa: E402
from chaos.processes import adopt_orphans, command_of, descendants, reap, size_of, wait_until  # noqa: E402
from lume_services.config import use_context  # noqa: E402

FINAL_SECONDS = 120
AT_ONCE = 8
SETTLE_SECONDS = 20
PAUSE_SECONDS = (1.0, 19.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=900, help="how long to kill")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of what is killed, and when"
    )
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=200, help="runs after that, to see whether memory grows")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    adopt_orphans()
    with place(given.workers) as here, _kept_on_fault(here.folder, given.seed) as found:
        found.extend(chaos(here, given.seconds, given.seed, given.callers))
        if given.runs:
            found.extend(growth(here, given.runs))
        found.extend(leftovers(here))
    print("\n".join(found) or "all promises were kept")
    return 1 if found else 0


@contextmanager
def _kept_on_fault(folder: Path, seed: int) -> Iterator[list[str]]:
    """Give a list of faults, and keep the logs where there is one."""
    found = ["it was interrupted"]
    try:
        faults: list[str] = []
        yield faults
        found = faults
    finally:
        if found:
            keep = Path.cwd() / f"chaos-{seed}"
            shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("socket"))
            print(f"the logs are in {keep}")


def chaos(here: Place, seconds: float, seed: int, count: int) -> list[str]:
    """Kill for so long, and return what was not as promised."""
    callers = Callers(here.context, str(here.folder), seed)
    killed: Counter[str] = Counter()
    dice = random.Random(seed)
    with callers.asking(count):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(dice.uniform(*PAUSE_SECONDS))
            if what := strike(here, dice):
                killed[what] += 1
            for one in here.everything:
                one.start()
        for one in here.everything:
            one.wait_until_ready()
    try:
        late = wait_until(
            lambda: all(run.state.is_final() for run in runs_of(here).values()), "all ended", FINAL_SECONDS
        )
        print(f"{late:.1f} s after all was back and the last answer given, every run was in a final state")
    except TimeoutError as error:
        print(error)
    runs = runs_of(here)
    told = Counter(
        type(a.told).__name__ if isinstance(a.told, BaseException) else "value" for a in callers.answers
    )
    print(f"killed in {seconds:g} s:", ", ".join(f"{what} {n}" for what, n in sorted(killed.items())))
    print(f"{len(callers.answers)} answers:", ", ".join(f"{what} {n}" for what, n in told.most_common()))
    states = Counter(run.state_name for run in runs.values())
    print(f"{len(runs)} runs:", ", ".join(f"{what} {n}" for what, n in states.most_common()), flush=True)
    found = list(faults(here, callers.answers, runs))
    print("\n".join(found) or "every answer was true", flush=True)
    return found


# What is struck, and how often of a hundred times.
TARGETS = {
    "job": 55,
    "worker": 13,
    "worker -9": 13,
    "fork server -9": 5,
    "worker and all it started -9": 5,
    "server": 2,
    "server -9": 2,
    "real server -9": 5,
}


def strike(here: Place, dice: random.Random) -> str | None:
    """Kill something, and say what; nothing, where there is none of it now."""
    chosen = dice.choices(list(TARGETS), list(TARGETS.values()))[0]
    victims = dice.choice(list(_victims(here, chosen)) or [[]])
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL if "-9" in chosen or chosen == "job" else signal.SIGTERM)
    for one in here.everything:
        if one.pid in victims or (one is here.server and chosen == "real server -9"):
            one.ends = True
    return chosen if victims else None


def _victims(here: Place, chosen: str) -> Iterator[list[int]]:
    """Yield the processes of which one group is struck."""
    name = chosen.removesuffix(" -9")
    if name in {"server", "real server"}:
        if here.server.pid is not None:
            below = list(descendants(here.server.pid))
            yield [here.server.pid] if name == "server" else below
        return
    for pid in (worker.pid for worker in here.workers if worker.pid is not None):
        below = list(descendants(pid))
        fork_server = [one for one in below if "fork_server.serve" in command_of(one)][:1]
        if name == "job":  # the process that stands for it, or the one that was forked
            yield from ([one] for one in below if one not in fork_server)
        elif name == "fork server":
            yield fork_server
        else:
            yield [pid, *below] if name == "worker and all it started" else [pid]


def growth(here: Place, count: int) -> list[str]:
    """Run so many flows, and return what has grown meanwhile."""
    service = here.context.scheduling_service()

    def run(value: int) -> None:
        with use_context(here.context):
            parameters = {"folder": str(here.folder), "value": value, "seconds": 0}
            assert service.run_and_return(measured, parameters) == 2 * value

    def sizes() -> dict[str, tuple[float, int]]:
        gc.collect()
        named = {"caller": os.getpid(), "worker": here.workers[0].pid}
        named["fork server"] = next(
            pid for pid in descendants(named["worker"]) if "fork_server.serve" in command_of(pid)
        )
        named["server"] = next(pid for pid in descendants(here.server.pid) if "prefect" in command_of(pid))
        return {name: size_of(pid) for name, pid in named.items()}

    for other in here.workers:
        other.stop()
    here.workers[0].start()  # with all that chaos has killed of it
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, range(count // 4)))  # what is imported, compiled and cached once
        before = sizes()
        list(pool.map(run, range(count)))
        after = sizes()
    for _ in range(SETTLE_SECONDS):  # the last jobs end after their callers were told
        if all(after[name][1] <= before[name][1] + 3 for name in after):
            break
        time.sleep(1)
        after = sizes()
    found = []
    for name, (memory, files) in after.items():
        print(
            f"{name}: {before[name][0]:.0f} MB and {before[name][1]} descriptors before {count} runs,",
            f"{memory:.0f} MB and {files} after",
            flush=True,
        )
        if memory > before[name][0] * 1.1 + 5 or files > before[name][1] + 3:
            found.append(f"{name} has grown")
    return found


def leftovers(here: Place) -> list[str]:
    """Stop everything, and return what is left: processes, zombies, folders."""
    for one in reversed(here.everything):
        one.stop()

    def left() -> list[int]:
        reap()
        return [pid for pid in descendants(os.getpid()) if "postgres" not in command_of(pid)]

    with suppress(TimeoutError):
        wait_until(lambda: not left(), "all processes have ended", 30)
    found = [f"process {pid} is left: {command_of(pid)}" for pid in left()]
    names = [path.name for path in here.temporary.iterdir()]
    print(f"left: {len(found)} processes, {len(names)} temporary files or folders")
    return found + [f"left: {name}" for name in names]


if __name__ == "__main__":
    sys.exit(main())
