"""llama-server behind intact's protocol: it is started on a free port of loopback, and every session has a slot."""

import argparse
import shutil
import tempfile
from pathlib import Path

from desk import Desk
from protocol import PROTOCOL, Refusal, Unsupported, serve
from server import Server, ServerError, options, version
from session import Frame

#: The session, one that it replaces, a bystander, and one to spare.
SLOTS = 4
#: The protocol's settings as options of the program.
OPTIONS = {
    "n_batch": "--batch-size",
    "n_ubatch": "--ubatch-size",
    "threads": "--threads",
    "type_k": "--cache-type-k",
    "type_v": "--cache-type-v",
    "flash_attention": "--flash-attn",
    "rope_freq_base": "--rope-freq-base",
    "rope_freq_scale": "--rope-freq-scale",
    "yarn_ext_factor": "--yarn-ext-factor",
}
#: What a server is given where it knows it: templates must close a reply, and states come from files alone.
WHERE_KNOWN = {"--no-prefill-assistant": [], "--cache-ram": ["0"], "--no-warmup": [], "--offline": []}
#: Settings that are no option of their own, or that a server of several slots has anyway.
ELSEWHERE = {"n_ctx", "swa_full", "lora", "sampling", "kv_unified", "n_seq_max"}


class LlamaServer(Desk):
    MAGIC = b"INTPROBS"
    NAME = "llama-server"

    def __init__(self, program, subject):
        super().__init__()
        self.program, self.subject, self.server = program, subject, None
        self.slots = tempfile.TemporaryDirectory(prefix="intact-slots-")

    def hello(self, protocol):
        release, build = version(self.program)
        return {
            "protocol": PROTOCOL,
            "subject": self.subject,
            "version": release,
            "release": release,
            "versions": {"build": build},
            "operations": list(self.OPERATIONS),
        }

    def open(self, model, settings, preset=None, model_repo=None, forget_layouts=False):
        given = self.begin_anew(settings, preset, OPTIONS.keys() | ELSEWHERE, "option")
        arguments = ["--model", model, "--parallel", str(SLOTS), "--slot-save-path", self.slots.name]
        for name, option in OPTIONS.items():
            arguments += [option, str(given[name])] if name in given else []
        arguments += ["--ctx-size", str(given["n_ctx"] * SLOTS)] if "n_ctx" in given else []
        for option in WHERE_KNOWN.keys() & options(self.program):
            arguments += [option, *WHERE_KNOWN[option]]
        arguments += ["--swa-full"] if given.get("swa_full") else []
        for path, scale in given.get("lora", []):
            arguments += ["--lora-scaled", f"{path}:{scale}"]
        try:
            self.server = Server(self.program, arguments)
        except ServerError as error:
            # Its own word: it does not run this model with these settings.
            raise Unsupported(str(error)) from error
        self.free = list(range(SLOTS))
        self.frame = Frame(self.render, self.tokenize)
        defaults = self.server.get("/props")["default_generation_settings"]
        described = self.server.get("/v1/models")["data"][0].get("meta") or {}
        self.n_vocab = described.get("n_vocab") or 0
        if not self.n_vocab:
            raise Unsupported("this llama-server does not tell how many tokens the vocabulary has")
        self.whole_token = self.tokenize("a", special=False)[0]
        return {"architecture": "", "n_vocab": self.n_vocab, "n_ctx": defaults["n_ctx"]}

    def render(self, messages, add_generation_prompt):
        body = {"messages": messages, "add_generation_prompt": add_generation_prompt}
        return self.server.post("/apply-template", body)["prompt"]

    def tokenize(self, text, special):
        body = {"content": text, "add_special": False, "parse_special": special}
        return self.server.post("/tokenize", body)["tokens"]

    def new_memory(self):
        if not self.free:
            raise Refusal("too-many-sessions", "every slot of the server is taken")
        return Slot(self, self.free.pop(0))

    def save_memory(self, slot, path):
        self.server.post(f"/slots/{slot.number}?action=save", {"filename": path.name})
        shutil.move(Path(self.slots.name) / path.name, path)

    def load_memory(self, slot, path):
        there = Path(self.slots.name) / "restored.kv"
        there.unlink(missing_ok=True)
        if path.exists():
            shutil.copyfile(path, there)
        try:
            self.server.post(f"/slots/{slot.number}?action=restore", {"filename": there.name})
        except ServerError as error:
            # It answers with one sentence for everything: no reason that a program could act on.
            raise Refusal("", str(error)) from error

    def close(self):
        self.sessions.clear()
        if self.server is not None:
            self.server.stop()
            self.server = self.frame = None


class Slot:
    """The memory of one session. The server itself decides what of it can be reused; it is believed only what it says it
    evaluated."""

    def __init__(self, desk, number):
        self.desk, self.number = desk, number
        self.held, self.last = None, None

    def complete(self, tokens, **options):
        body = {"prompt": tokens, "id_slot": self.number, "cache_prompt": True, **options}
        return self.desk.server.post("/completion", body)

    def hold(self, tokens):
        if not tokens or tokens == self.held:
            return 0
        answer = self.complete(tokens, n_predict=0)
        self.held, self.last = list(tokens), None
        return answer["timings"]["prompt_n"]

    def look(self, tokens):
        """Evaluates the last token, keeps the row after it, and gives how many tokens were evaluated."""
        # The probabilities are those before sampling. Which token is sampled does not matter, but one that is no whole
        # character is not told, and its probabilities are not either.
        whole = [[self.desk.whole_token, 1000.0]]
        answer = self.complete(
            tokens, n_predict=1, n_probs=self.desk.n_vocab, temperature=1.0, samplers=[], logit_bias=whole
        )
        likely = answer["completion_probabilities"][0]["top_logprobs"]
        row = [float("-inf")] * self.desk.n_vocab
        for entry in likely:
            row[entry["id"]] = entry["logprob"]
        self.held, self.last = list(tokens), row
        return answer["timings"]["prompt_n"]

    def row(self, tokens):
        if tokens != self.held or self.last is None:
            self.look(tokens)
        return self.last

    def take_up(self, tokens):
        """Continues from a restored state. Only now the server shows what of it was of use."""
        self.held = self.last = None
        evaluated = self.look(tokens)
        return len(tokens) - evaluated, evaluated

    def generate(self, tokens, most, sampling):
        answer = self.complete(tokens, n_predict=most, return_tokens=True, **sampling)
        self.held = self.last = None
        return answer["tokens"], answer["content"]

    def drop(self):
        self.desk.server.post(f"/slots/{self.number}?action=erase", {})
        self.desk.free.insert(0, self.number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, nargs="+", help="the program llama-server, and what stands before its options")
    parser.add_argument("--subject", default="llama-server", help="whose program it is")
    given = parser.parse_args()
    serve(LlamaServer(given.bin, given.subject))
