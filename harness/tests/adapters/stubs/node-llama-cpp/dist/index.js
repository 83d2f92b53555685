// What the adapter uses of node-llama-cpp, over a toy whose memory is the list of its tokens.
import fs from "node:fs";

// STUB_VOCAB: as many tokens as a real model has. STUB names what is wrong with it.
const N_VOCAB = Number(process.env.STUB_VOCAB ?? 256);

function probabilities(tokens) {
    const state = tokens.reduce((state, token) => (state * 31 + token) % 65521, 7);
    const weights = Array.from({ length: N_VOCAB }, (_, token) => Math.exp(((state * (token + 1)) % 257) / 16));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return new Map(weights.map((weight, token) => [token, weight / total]));
}

class Sequence {
    contextTokens = [];

    constructor(context) {
        this.context = context;
    }

    get nextTokenIndex() {
        return this.contextTokens.length;
    }

    async eraseContextTokenRanges([{ start }]) {
        this.contextTokens.length = start;
    }

    async evaluateWithoutGeneratingNewTokens(tokens) {
        this.contextTokens.push(...tokens);
    }

    async controlledEvaluate([[token]]) {
        if (process.env.STUB === "throws")
            throw new RangeError("Maximum call stack size exceeded");
        this.contextTokens.push(token);
        const likely = probabilities(this.contextTokens);
        const [best] = [...likely].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
        return [{ next: { token: best, probabilities: likely } }];
    }

    async saveStateToFile(path) {
        fs.writeFileSync(path, JSON.stringify(this.contextTokens));
        return { fileSize: fs.statSync(path).size };
    }

    async loadStateFromFile(path, { acceptRisk }) {
        if (!acceptRisk)
            throw new Error("the risk was not accepted");
        this.contextTokens = JSON.parse(fs.readFileSync(path, "utf8"));
    }

    dispose() {
        this.context.sequencesLeft += 1;
    }
}

class Context {
    contextSize = 512;

    constructor({ sequences }) {
        this.sequencesLeft = sequences;
    }

    getSequence() {
        this.sequencesLeft -= 1;
        return new Sequence(this);
    }

    async dispose() {}
}

class Model {
    tokens = { bos: null, eos: null, shouldPrependBosToken: false };
    fileInfo = { metadata: { general: { architecture: "toy" }, tokenizer: { chat_template: "a template" } } };

    async createContext(options) {
        return new Context(options);
    }

    *iterateAllTokens() {
        yield* Array(N_VOCAB).keys();
    }

    tokenize(text) {
        return [...Buffer.from(text)];
    }

    detokenize(tokens) {
        return Buffer.from(tokens).toString();
    }

    isEogToken() {
        return false;
    }

    async dispose() {}
}

export async function getLlama() {
    return { llamaCppRelease: { release: "b4242" }, loadModel: async () => new Model() };
}
