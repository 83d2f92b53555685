"""A chat as tokens of a memory, and the files that it is saved to."""

import json
import math
import struct
from array import array
from pathlib import Path

from protocol import Unsupported


class Session:
    """A chat over a memory.

    The last token is pending: not evaluated yet, so that a restored session can go on from it, because a state has no
    logits. It is evaluated alone, as forced tokens are; only what comes before is batched. So batches are the same
    whether or not the session was saved in between.

    A memory has `hold(tokens)`, which makes it hold these and gives how many it had to evaluate; `row(tokens)`, the
    numbers after the last of them, which it evaluates; `take_up(tokens)`, which goes on from a restored state and gives
    how many tokens were restored and how many had to be evaluated; `generate(tokens, most, sampling)`; and `drop()`.
    """

    def __init__(self, memory, frame, messages=(), tokens=()):
        self.memory, self.frame = memory, frame
        self.messages, self.tokens = list(messages), list(tokens)
        self.evaluated = 0

    def hear(self, role, content):
        """Takes a message, and for the user's the header of the reply."""
        self.messages.append({"role": role, "content": content})
        run = self.frame.run(self.messages)
        self.extend(run + self.frame.header(self.messages) if role == "user" else run)

    def force(self, text):
        closing = self.frame.closing(self.messages)
        for token in self.frame.tokenize(text, special=False) + closing:
            self.push(token)
        self.messages.append({"role": "assistant", "content": text})
        return text

    def generate(self, most, sampling):
        closing = self.frame.closing(self.messages)
        tokens, text = self.memory.generate(self.tokens, most, sampling)
        self.evaluated += len(tokens)
        self.tokens += tokens
        for token in closing:
            self.push(token)
        self.messages.append({"role": "assistant", "content": text})
        return text

    def extend(self, tokens):
        """The pending token alone, then all of these but the last in one batch."""
        self.settle()
        self.tokens += tokens
        self.evaluated += self.memory.hold(self.tokens[:-1])

    def push(self, token):
        self.settle()
        self.tokens.append(token)

    def settle(self):
        if self.tokens:
            self.evaluated += self.memory.hold(self.tokens)

    def score(self, text, most):
        """Rows after the last token and after each of the forced ones, and these."""
        tokens = self.frame.tokenize(text, special=False)[:most]
        rows = [compact(self.memory.row(self.tokens))]
        for token in tokens:
            self.push(token)
            rows.append(compact(self.memory.row(self.tokens)))
        self.messages.append({"role": "assistant", "content": text})
        return rows, tokens

    def history(self):
        return [{"role": message["role"], "text": message["content"]} for message in self.messages]


class Frame:
    """How messages become tokens: the model's own chat template, cut into what each message adds."""

    def __init__(self, render, tokenize):
        self.render, self.tokenize = render, tokenize

    def run(self, messages):
        before = self.render(messages[:-1], False) if len(messages) > 1 else ""
        return self.cut(before, self.render(messages, False))

    def header(self, messages):
        return self.cut(self.render(messages, False), self.render(messages, True))

    def closing(self, messages):
        reply = {"role": "assistant", "content": "x"}
        return self.cut(self.render(messages, True) + "x", self.render([*messages, reply], False))

    def cut(self, before, whole):
        if not whole.startswith(before):
            raise Unsupported("the model's chat template rewrites earlier messages")
        return self.tokenize(whole[len(before):], special=True)


def state_path(path):
    """The state file that belongs to a session file."""
    return Path(path).with_suffix(".kv")


def write_session(path, name, session):
    """Writes what a state file does not hold: the chat, and every token with the pending one."""
    messages = [{**message, "tokens": []} for message in session.messages]
    cached = max(len(session.tokens) - 1, 0)
    text = json.dumps({"session": name, "messages": messages, "tokens": session.tokens, "cached": cached})
    Path(path).write_text(text, encoding="utf-8")


def read_session(path):
    saved = json.loads(Path(path).read_text(encoding="utf-8"))
    messages = [{"role": message["role"], "content": message["content"]} for message in saved["messages"]]
    return saved["session"], messages, saved["tokens"]


def compact(row):
    """Numbers of 4 bytes: a row has as many as the vocabulary has tokens, and there is one for each position."""
    return array("f", (value if math.isfinite(value) else -1e30 for value in row))


def write_rows(path, rows, magic):
    """A matrix as the harness reads it. Magic: INTLOGIT for logits, INTPROBS for logarithms of probabilities."""
    with open(path, "wb") as file:
        file.write(magic + struct.pack("<II", len(rows), len(rows[0])))
        file.writelines(row.tobytes() for row in rows)
    return {"path": path, "rows": len(rows), "n_vocab": len(rows[0])}
