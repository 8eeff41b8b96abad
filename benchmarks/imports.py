"""How long imports and `--help` take in a fresh process, next to Prefect's import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 9
BASE = "pass"
CASES = {
    "import lume_services": "import lume_services",
    "configure()": "import lume_services; lume_services.configure()",
    "lume-services --help": "import sys, lume_services.cli as c; sys.argv[1:] = ['--help']; c.main()",
    "import prefect": "import prefect",
}


def seconds(code: str) -> float:
    """Return the wall time of a fresh interpreter that runs the code."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print medians, taken in turns, without the time of the interpreter itself."""
    times: dict[str, list[float]] = {name: [] for name in (BASE, *CASES)}
    for _ in range(REPEATS):
        for name, code in {BASE: BASE, **CASES}.items():
            times[name].append(seconds(code))
    base = statistics.median(times[BASE])
    medians = {name: statistics.median(times[name]) - base for name in CASES}
    print(f"interpreter alone: {base * 1000:.0f} ms (not counted below); median of {REPEATS}")
    for name, median in medians.items():
        print(
            f"{name:22} {median * 1000:7.0f} ms   {median / medians['import prefect']:6.3f} of import prefect"
        )


if __name__ == "__main__":
    main()
