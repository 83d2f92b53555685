"""llama-cpp-python behind intact's protocol: every session is a `Llama` of its own, saved as its pickled `LlamaState`."""

import argparse
import pickle

import jinja2.sandbox
import llama_cpp
import numpy
from llama_cpp import Llama

from desk import Desk
from protocol import PROTOCOL, Refusal, Unsupported, serve
from session import Frame

#: The protocol's settings as arguments of `Llama`.
ARGUMENTS = {
    "n_ctx": "n_ctx",
    "n_batch": "n_batch",
    "n_ubatch": "n_ubatch",
    "threads": "n_threads",
    "swa_full": "swa_full",
    "rope_freq_base": "rope_freq_base",
    "rope_freq_scale": "rope_freq_scale",
    "yarn_ext_factor": "yarn_ext_factor",
}
#: Settings that are no argument of the same kind, or that a context of one session has anyway.
ELSEWHERE = {"type_k", "type_v", "flash_attention", "lora", "sampling", "kv_unified", "n_seq_max"}


class LlamaCppPython(Desk):
    NAME = "llama-cpp-python"

    def hello(self, protocol):
        return {
            "protocol": PROTOCOL,
            "subject": self.NAME,
            "version": llama_cpp.__version__,
            "release": "unknown",
            "operations": list(self.OPERATIONS),
        }

    def open(self, model, settings, preset=None, model_repo=None, forget_layouts=False):
        given = self.begin_anew(settings, preset, ARGUMENTS.keys() | ELSEWHERE, "argument")
        if given.get("flash_attention") == "auto":
            raise Unsupported("llama-cpp-python switches flash attention on or off")
        self.arguments = {ARGUMENTS[name]: value for name, value in given.items() if name in ARGUMENTS}
        self.arguments |= {"model_path": model, "verbose": False, "flash_attn": given.get("flash_attention") == "on"}
        for side in ("type_k", "type_v"):
            if side in given:
                self.arguments[side] = kv_type(given[side])
        for path, scale in given.get("lora", [])[:1]:
            self.arguments |= {"lora_path": path, "lora_scale": scale}
        try:
            self.first = Llama(**self.arguments)
        except ValueError as error:
            # Its own word: it does not run this model with these settings.
            raise Unsupported(f"llama-cpp-python: {error}") from error
        if "tokenizer.chat_template" not in self.first.metadata:
            raise Unsupported("the model has no chat template")
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self.template = environment.from_string(self.first.metadata["tokenizer.chat_template"])
        self.frame = Frame(self.render, self.tokenize)
        return {
            "architecture": self.first.metadata["general.architecture"],
            "n_vocab": self.first.n_vocab(),
            "n_ctx": self.first.n_ctx(),
        }

    def render(self, messages, add_generation_prompt):
        return self.template.render(messages=messages, add_generation_prompt=add_generation_prompt)

    def tokenize(self, text, special):
        return self.first.tokenize(text.encode(), add_bos=False, special=special)

    def new_memory(self):
        return Memory(Llama(**self.arguments))

    def save_memory(self, memory, path):
        path.write_bytes(pickle.dumps(memory.llama.save_state()))

    def load_memory(self, memory, path):
        try:
            memory.llama.load_state(pickle.loads(path.read_bytes()))
        except Exception as error:
            # It raises whatever its parts raise: no reason that a program could act on.
            raise Refusal("", f"{type(error).__name__}: {error}") from error

    def close(self):
        self.sessions.clear()
        self.first = self.frame = None


def kv_type(name):
    found = getattr(llama_cpp, f"GGML_TYPE_{name.upper()}", None)
    if found is None:
        raise Unsupported(f"llama-cpp-python knows no type `{name}`")
    return found


class Memory:
    """The whole context of a `Llama`."""

    def __init__(self, llama):
        self.llama = llama

    def hold(self, tokens):
        missing = tokens[self.llama.n_tokens:]
        if missing:
            self.llama.eval(missing)
        return len(missing)

    def row(self, tokens):
        self.hold(tokens)
        logits = llama_cpp.llama_get_logits_ith(self.llama.ctx, -1)
        return numpy.ctypeslib.as_array(logits, shape=(self.llama.n_vocab(),)).tolist()

    def take_up(self, tokens):
        """Keeps what the state has in common with the tokens, as the library does when it goes on from one."""
        settled, held = tokens[:-1], self.llama.input_ids[: self.llama.n_tokens].tolist()
        pairs = zip(settled, held)
        common = next((at for at, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(settled), len(held)))
        self.llama.n_tokens = common
        return common, self.hold(settled)

    def generate(self, tokens, most, sampling):
        options = {"temp": sampling.get("temperature", 0.0)}
        options |= {name: sampling[name] for name in ("top_k", "top_p") if name in sampling}
        if "seed" in sampling:
            self.llama.set_seed(sampling["seed"])
        said = []
        while len(said) < most:
            self.hold(tokens + said)
            token = self.llama.sample(**options)
            if llama_cpp.llama_vocab_is_eog(llama_cpp.llama_model_get_vocab(self.llama.model), token):
                break
            said.append(token)
        return said, self.llama.detokenize(said).decode("utf-8", "replace")

    def drop(self):
        self.llama.close()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    serve(LlamaCppPython())
