import { Unsupported } from "./outcome.mjs";

/** Sequences of a context: the session, one that it replaces, a bystander, and one to spare. */
const SEQUENCES = 4;

const TAKEN = new Set([
    "n_ctx", "n_batch", "threads", "type_k", "type_v", "flash_attention", "swa_full", "sampling", "lora",
    // What a context of several sequences has anyway.
    "n_seq_max", "kv_unified"
]);
const FLASH = { auto: "auto", on: true, off: false };

/** The protocol's settings as node-llama-cpp's options. */
export function contextOptions(settings) {
    const empty = (value) => value == null || value === false || (Array.isArray(value) && value.length === 0);
    const foreign = Object.keys(settings).find((name) => !TAKEN.has(name) && !empty(settings[name]));
    if (foreign !== undefined)
        throw new Unsupported(`node-llama-cpp has no option for \`${foreign}\``);
    const given = {
        contextSize: settings.n_ctx,
        batchSize: settings.n_batch,
        threads: settings.threads,
        flashAttention: FLASH[settings.flash_attention],
        swaFullCache: settings.swa_full,
        experimentalKvCacheKeyType: settings.type_k?.toUpperCase(),
        experimentalKvCacheValueType: settings.type_v?.toUpperCase(),
        lora: empty(settings.lora)
            ? undefined
            : { adapters: settings.lora.map(([filePath, scale]) => ({ filePath, scale })) }
    };
    const known = Object.entries(given).filter(([, value]) => value != null);
    return { sequences: SEQUENCES, ...Object.fromEntries(known) };
}
