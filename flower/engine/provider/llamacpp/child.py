"""The child process that runs llama.cpp: ``python -m flower.engine.provider.llamacpp.child``.

Reads its orders, one line of JSON, from standard input, so that the API key is in no process list
and no environment. Serves on a loopback port of the system's choice, prints it, and ends when
standard input closes: an engine that dies, even by ``kill -9``, takes the model with it.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Loads the model, answers ``ready PORT`` or ``failed``, serves until standard input ends."""
    orders = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever llama.cpp prints goes to the log, not into the answer
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = orders["path"]
    settings.model_alias = {orders["name"]}
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.api_keys = [orders["key"]]
    settings.n_ctx = orders["context_tokens"]
    settings.n_parallel = 1  # one story at a time: the whole context and cache belong to it
    settings.cpuparams.n_threads = orders["threads"]
    settings.cpuparams_batch.n_threads = orders["threads"]
    settings.cache_ram_mib = 0  # the slot itself keeps the story; a second copy costs memory
    settings.ui = False
    settings.verbosity = 1  # errors only
    if orders["template"]:
        settings.chat_template = orders["template"]
        settings.use_jinja = False  # a built-in template by its name
    try:
        server = xllamacpp.Server(settings)
    except RuntimeError:
        print("failed", file=answer, flush=True)
        os._exit(1)
    print("ready", server.listening_address.rpartition(":")[2], file=answer, flush=True)
    sys.stdin.read()
    os._exit(0)  # the server's threads need no farewell


if __name__ == "__main__":
    main()
