"""Start the server: `python -m kubernetes_api`. The token of its clients is in `KUBERNETES_API_TOKEN`."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from aiohttp import web

from kubernetes_api.node import Node
from kubernetes_api.server import API
from kubernetes_api.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(prog="kubernetes_api")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--image", action="append", default=[], help="an image that is there")
    parser.add_argument("--cpus", type=float, default=4, help="how many the node has")
    parser.add_argument("--env", action="append", default=[], help="a variable of the images, as NAME=VALUE")
    given = parser.parse_args()
    variables = dict(variable.split("=", 1) for variable in given.env)

    with tempfile.TemporaryDirectory(prefix="kubernetes-", ignore_cleanup_errors=True) as folder:

        async def application() -> web.Application:
            store = Store()
            node = Node(store, Path(folder), given.image, given.cpus, variables)
            return API(store, node, os.environ["KUBERNETES_API_TOKEN"]).application()

        # Watches never end by themselves, so none is waited for.
        web.run_app(application(), host="127.0.0.1", port=given.port, print=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main()
