"""A server that does not load its model in time is stopped: exits with 0 where it is."""

import pathlib
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
import server

server.START = 0.3
with tempfile.TemporaryDirectory() as folder:
    program = pathlib.Path(folder) / "llama-server"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    started = []
    popen = server.subprocess.Popen

    def remembered(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    server.subprocess.Popen = remembered
    try:
        server.Server([str(program)], [])
    except (server.ServerError, TimeoutError) as error:
        sys.exit(0 if started[0].poll() is not None else f"it goes on after: {error}")
    sys.exit("it has started")
