"""llama-server without its program: the wheels of xllamacpp have all of it inside. This takes the options that the adapter gives
to the program, and serves HTTP as that does."""

import argparse
import ctypes
import importlib.metadata
import os
import signal
import sys

import xllamacpp


def folder(path):
    """The server puts names behind it as they are; llama-server's own reading of its options ends it with a separator first."""
    return os.path.join(path, "")


#: Options of the program that are attributes here, and how their values are read.
ATTRIBUTES = {
    "--model": ("model.path", str),
    "--host": ("hostname", str),
    "--port": ("port", int),
    "--parallel": ("n_parallel", int),
    "--ctx-size": ("n_ctx", int),
    "--batch-size": ("n_batch", int),
    "--ubatch-size": ("n_ubatch", int),
    "--slot-save-path": ("slot_save_path", folder),
    "--cache-ram": ("cache_ram_mib", int),
    "--rope-freq-base": ("rope_freq_base", float),
    "--rope-freq-scale": ("rope_freq_scale", float),
    "--yarn-ext-factor": ("yarn_ext_factor", float),
}
SWITCHES = {
    "--swa-full": ("swa_full", True),
    "--no-warmup": ("warmup", False),
    "--no-prefill-assistant": ("prefill_assistant", False),
    "--offline": ("offline", True),
}


def main():
    parameters = xllamacpp.CommonParams()
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="store_true")
    for option, (name, read) in ATTRIBUTES.items():
        if has(parameters, name):
            parser.add_argument(option, dest=name, type=read)
    for option, (name, value) in SWITCHES.items():
        if has(parameters, name):
            parser.add_argument(option, dest=name, action="store_const", const=value)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cache-type-k")
    parser.add_argument("--cache-type-v")
    parser.add_argument("--flash-attn", choices=["on", "off", "auto"])
    given = parser.parse_args()
    if given.version:
        print(f"version: {release()} (xllamacpp {importlib.metadata.version('xllamacpp')})")
        return
    for name, _ in [*ATTRIBUTES.values(), *SWITCHES.values()]:
        value = getattr(given, name, None)
        if value is not None:
            put(parameters, name, value)
    settle(parameters, given)
    server = xllamacpp.Server(parameters)
    print(f"listening on {server.listening_address}", file=sys.stderr, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    sys.stderr.flush()
    # What its threads are doing is of no use to anybody any more.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGKILL)


def settle(parameters, given):
    """What is no plain value."""
    if given.threads is not None:
        for pool in ("cpuparams", "cpuparams_batch"):
            getattr(parameters, pool).n_threads = given.threads
    for side in ("k", "v"):
        name = getattr(given, f"cache_type_{side}")
        if name is not None:
            kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{name.upper()}")
            setattr(parameters, f"cache_type_{side}", kind.value)
    if given.flash_attn is not None:
        kinds = xllamacpp.llama_flash_attn_type
        named = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}[given.flash_attn]
        parameters.flash_attn_type = getattr(kinds, f"LLAMA_FLASH_ATTN_TYPE_{named}").value
    if has(parameters, "n_gpu_layers"):
        parameters.n_gpu_layers = 0


def has(parameters, name):
    for part in name.split("."):
        if not hasattr(parameters, part):
            return False
        parameters = getattr(parameters, part)
    return True


def put(parameters, name, value):
    *path, last = name.split(".")
    for part in path:
        parameters = getattr(parameters, part)
    setattr(parameters, last, value)


def release():
    """What the library inside says of itself; else what the version of the package says, whose last number is llama.cpp's build."""
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    if hasattr(library, "llama_version"):
        library.llama_version.restype = ctypes.c_char_p
        return library.llama_version().decode()
    try:
        number = ctypes.c_int.in_dll(library, "LLAMA_BUILD_NUMBER").value
    except ValueError:
        number = 0
    parts = importlib.metadata.version("xllamacpp").split(".")
    return str(number) if number > 0 else (parts[2] if len(parts) > 2 and int(parts[0]) > 2000 else "0")


if __name__ == "__main__":
    main()
