"""What every adapter in Python does alike: sessions by name, and the protocol's operations on them."""

import time
from pathlib import Path

from protocol import Refusal, Unsupported
from session import Session, read_session, state_path, write_rows, write_session


class Desk:
    """Sessions of an open model. A subject adds `hello` and `open`, and says how a memory is made, saved and loaded."""

    OPERATIONS = ("hello", "open", "start", "say", "save", "load", "score", "forget", "bye")
    #: What a row is: see `write_rows`.
    MAGIC = b"INTLOGIT"
    #: What the subject is called in messages.
    NAME = ""

    def __init__(self):
        self.sessions, self.frame, self.sampling = {}, None, {}

    def new_memory(self):
        raise NotImplementedError

    def save_memory(self, memory, path):
        raise NotImplementedError

    def load_memory(self, memory, path):
        """Puts a saved state into the memory. Refuses as the subject does."""
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def begin_anew(self, settings, preset, known, kind):
        """Closes what is open, keeps the sampling, and gives the settings that were given. `known` are those that the
        subject has, each as a thing of this `kind`."""
        if preset is not None:
            raise Unsupported(f"{self.NAME} has no presets")
        self.close()
        given = {name: value for name, value in settings.items() if value not in (None, False, [])}
        foreign = given.keys() - known
        if foreign:
            raise Unsupported(f"{self.NAME} has no {kind} for `{min(foreign)}`")
        self.sampling = {name: value for name, value in (given.get("sampling") or {}).items() if value is not None}
        return given

    def start(self, session, system=None):
        self.begin(session, system)

    def begin(self, name, system):
        self.opened()
        if name in self.sessions:
            self.forget(name)
        session = self.sessions[name] = Session(self.new_memory(), self.frame)
        if system:
            session.hear("system", system)
        return session

    def say(self, session, text, system=None, reply=None, max_tokens=None, greedy=False, cancel_after=None, stream=False):
        if cancel_after is not None:
            raise Unsupported("this adapter does not cancel replies")
        self.opened()
        live = self.sessions.get(session) or self.begin(session, system)
        before = live.evaluated
        live.hear("user", text)
        sampling = {"temperature": 0} if greedy else self.sampling
        said = live.force(reply) if reply is not None else live.generate(max_tokens or 64, sampling)
        return {"text": said, "tokens": len(live.tokens), "tokens_evaluated": live.evaluated - before}

    def save(self, session, path, format=None, manifest=False):
        self.unversioned(format)
        live, clock = self.required(session), time.perf_counter()
        self.save_memory(live.memory, state_path(path))
        timings = {"total_seconds": time.perf_counter() - clock}
        write_session(path, session, live)
        files = [path, str(state_path(path))]
        size = sum(Path(file).stat().st_size for file in files)
        return {"files": files, "bytes": size, "tokens": len(live.tokens), "timings": timings}

    def load(self, path, session=None, reader_format=None, routes=None, parameters=None, manifest=False):
        """The state goes into the memory of the session of that name where there is one, as in a program that loads
        into the chat that it shows."""
        self.unversioned(reader_format)
        self.opened()
        saved_name, messages, tokens = read_session(path)
        name, clock = session or saved_name, time.perf_counter()
        live = self.sessions.get(name)
        memory = live.memory if live else self.new_memory()
        try:
            self.load_memory(memory, state_path(path))
        except Refusal:
            if live is None:
                memory.drop()
            raise
        loaded = self.sessions[name] = Session(memory, self.frame, messages, tokens)
        restored, evaluated = memory.take_up(tokens)
        receipt = {
            "route": "blind",
            "tokens_restored": restored,
            "tokens_evaluated": evaluated,
            "timings": {"total_seconds": time.perf_counter() - clock},
        }
        return {"session": name, "receipt": receipt, "history": loaded.history()}

    def score(self, session, text, max_tokens, path):
        rows, tokens = self.required(session).score(text, max_tokens)
        return {**write_rows(path, rows, self.MAGIC), "tokens": tokens}

    def forget(self, session):
        self.required(session).memory.drop()
        del self.sessions[session]

    def bye(self):
        self.close()

    def required(self, name):
        self.opened()
        if name not in self.sessions:
            raise Refusal("session-unknown", f"there is no live session `{name}`")
        return self.sessions[name]

    def opened(self):
        if self.frame is None:
            raise Refusal("nothing-open", "no model is open; send `open` first")

    def unversioned(self, version):
        if version is not None:
            raise Unsupported(f"{self.NAME} has no versions of a session file")
