"""What the adapter uses of llama-cpp-python, over a toy whose memory is the list of its tokens."""

import os

__version__ = "9.9.9"
#: STUB_VOCAB: as many tokens as a real model has. STUB names what is wrong with it.
N_VOCAB = int(os.environ.get("STUB_VOCAB", 256))
GGML_TYPE_F16 = 1


class Ids(list):
    def __getitem__(self, at):
        found = super().__getitem__(at)
        return Ids(found) if isinstance(at, slice) else found

    def tolist(self):
        return list(self)


class Llama:
    metadata = {"general.architecture": "toy", "tokenizer.chat_template": ""}

    def __init__(self, n_ctx=512, **_):
        self.context_length, self.n_tokens, self.input_ids = n_ctx, 0, Ids()
        self.ctx = self.model = self

    def n_vocab(self):
        return N_VOCAB

    def n_ctx(self):
        return self.context_length

    def tokenize(self, text, **_):
        return list(text)

    def detokenize(self, tokens):
        return bytes(tokens)

    def eval(self, tokens):
        self.input_ids = Ids(self.input_ids[: self.n_tokens] + list(tokens))
        self.n_tokens = len(self.input_ids)

    def save_state(self):
        return list(self.input_ids[: self.n_tokens])

    def load_state(self, state):
        self.input_ids, self.n_tokens = Ids(state), len(state)

    def close(self):
        pass


def llama_get_logits_ith(llama, _):
    if os.environ.get("STUB") == "throws":
        raise RecursionError("maximum recursion depth exceeded")
    state = 7
    for token in llama.input_ids[: llama.n_tokens]:
        state = (state * 31 + token) % 65521
    return Ids(float((state * (token + 1)) % 257) / 16 for token in range(N_VOCAB))
