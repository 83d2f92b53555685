"""The process llama-server, and what it says over HTTP."""

import atexit
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

#: Seconds that a model may take to load from a slow disk, and that an answer may take: with the probabilities of a real
#: vocabulary it has megabytes. The harness has limits of its own.
START, ANSWER = 1800, 600
#: Seconds in which a process that no longer answers must have ended, to count as one that died.
GRIEF = 5


class ServerError(Exception):
    """An answer that is no success."""


class Server:
    def __init__(self, program, arguments):
        self.port, self.has_started = free_port(), False
        line = [*program, "--host", "127.0.0.1", "--port", str(self.port), *arguments]
        self.process = subprocess.Popen(line, stdout=sys.stderr, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        atexit.register(self.stop)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER)
        try:
            self.wait_until_ready()
        except BaseException:
            # Nobody has this object, so nobody else can stop it: the next one would start beside it.
            self.stop()
            raise
        self.has_started = True

    def wait_until_ready(self):
        deadline = time.monotonic() + START
        while not self.is_ready():
            if self.process.poll() is not None:
                raise ServerError(f"llama-server ended with {self.process.returncode} while it loaded the model")
            if time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"llama-server did not load the model in {START} s")
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.get("/health").get("status") == "ok"
        except (ServerError, OSError, http.client.HTTPException):
            self.connection.close()
            return False

    def get(self, path):
        return self.ask("GET", path, None)

    def post(self, path, body):
        return self.ask("POST", path, json.dumps(body))

    def ask(self, method, path, body):
        try:
            self.connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.die_of_the_same()
            raise
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = {"error": {"message": text.decode("utf-8", "replace")}}
        if answer.status != 200:
            raise ServerError(parsed.get("error", {}).get("message") or f"{method} {path}: {answer.status}")
        return parsed

    def die_of_the_same(self):
        """A server that crashes is a crash of the subject, and must look like one from outside."""
        if not self.has_started:
            return
        try:
            status = self.process.wait(GRIEF)
        except subprocess.TimeoutExpired:
            return
        print(f"llama-server ended with {status}", file=sys.stderr, flush=True)
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status or 1)

    def stop(self):
        atexit.unregister(self.stop)
        self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def version(program):
    """(release, build): a release is b6082 or 0.5.0-dev, as the program tells it."""
    told = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=ANSWER)
    found = re.search(r"version: (\S+) \((.*)\)", told.stdout + told.stderr)
    if found is None:
        raise ServerError(f"{' '.join(program)} --version tells no version")
    number, build = found.groups()
    return (f"b{number}" if number.isdigit() else number), build


def options(program):
    """Every option that the program says it has."""
    told = subprocess.run([*program, "--help"], capture_output=True, text=True, timeout=ANSWER)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told.stdout + told.stderr))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """A worker that is killed must not leave its server behind. Only Linux can be asked for that."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
