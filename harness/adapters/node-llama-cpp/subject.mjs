import fs from "node:fs";
import { performance } from "node:perf_hooks";

import { getLlama } from "node-llama-cpp";

import { ChatFrame } from "./frame.mjs";
import { Unsupported, Refusal } from "./outcome.mjs";
import { Session } from "./session.mjs";
import { contextOptions } from "./settings.mjs";
import { readSession, statePath, writeSession } from "./file.mjs";
import { logarithms, writeProbabilities } from "./probabilities.mjs";

const PROTOCOL = 1;
const packageFile = new URL("../package.json", import.meta.resolve("node-llama-cpp"));
/** What the library says it cannot do; what goes wrong elsewhere is an error. */
async function declared(what, act) {
    try {
        return await act();
    } catch (error) {
        throw new Unsupported(`node-llama-cpp cannot ${what}: ${error?.message ?? error}`);
    }
}

const seconds = (since) => ({ total_seconds: (performance.now() - since) / 1000 });

/** What the harness talks to: a model with a context, and sessions that each have a sequence of it. */
export class Subject {
    sessions = new Map();

    operations = {
        hello: this.hello,
        open: this.open,
        start: this.start,
        say: this.say,
        save: this.save,
        load: this.load,
        score: this.score,
        forget: this.forget,
        bye: this.bye
    };

    async hello() {
        this.llama ??= await getLlama({
            build: "never", skipDownload: true, gpu: false, progressLogs: false, logLevel: "warn",
            logger: (level, message) => console.error(`${level}: ${message.trim()}`)
        });
        return {
            protocol: PROTOCOL,
            subject: "node-llama-cpp",
            version: JSON.parse(fs.readFileSync(packageFile, "utf8")).version,
            release: this.llama.llamaCppRelease.release,
            versions: { node: process.versions.node },
            operations: Object.keys(this.operations)
        };
    }

    async open({ model, settings = {}, preset }) {
        if (preset != null)
            throw new Unsupported("node-llama-cpp has no presets");
        await this.close();
        const options = contextOptions(settings);
        this.model = await declared("load this model", () => this.llama.loadModel({ modelPath: model, gpuLayers: 0 }));
        this.context = await declared("make this context", () => this.model.createContext(options));
        if (settings.type_k != null && this.context.kvCacheKeyType === undefined && settings.type_k !== "f16")
            throw new Unsupported("this version has no option for the type of the cached K and V: it is always f16");
        this.frame = new ChatFrame(this.model);
        this.sampling = settings.sampling ?? {};
        this.vocabulary = [...this.model.iterateAllTokens()].length;
        return {
            architecture: this.model.fileInfo.metadata.general.architecture,
            n_vocab: this.vocabulary,
            n_ctx: this.context.contextSize
        };
    }

    async close() {
        this.sessions.clear();
        await this.context?.dispose();
        await this.model?.dispose();
        this.context = this.model = undefined;
    }

    async start({ session, system }) {
        await this.begin(session, system);
    }

    async begin(id, system) {
        this.live(id)?.drop();
        const session = new Session(this.frame, this.model, this.sequence());
        this.sessions.set(id, session);
        if (system)
            await session.hear("system", system);
        return session;
    }

    async say({ session: id, system, text, reply, max_tokens: most, greedy, cancel_after: cancel }) {
        if (cancel != null)
            throw new Unsupported("this adapter does not cancel replies");
        const session = this.live(id) ?? await this.begin(id, system);
        const before = session.evaluated;
        await session.hear("user", text);
        const said = reply != null
            ? await session.force(reply)
            : await session.generate(most ?? 64, greedy ? { temperature: 0 } : this.sampling);
        return { text: said, tokens: session.tokens.length, tokens_evaluated: session.evaluated - before };
    }

    async save({ session: id, path, format }) {
        if (format != null && format !== "")
            throw new Unsupported("node-llama-cpp has no versions of a session file");
        const session = this.required(id);
        const clock = performance.now();
        const { fileSize } = await session.sequence.saveStateToFile(statePath(path));
        const timings = seconds(clock);
        const bytes = writeSession(path, id, session) + fileSize;
        return { files: [path, statePath(path)], bytes, tokens: session.tokens.length, timings };
    }

    // The state goes into the sequence of the session of that id where there is one, as it does in a program that
    // loads into the chat it shows.
    async load({ path, session: name, reader_format: format }) {
        if (format != null)
            throw new Unsupported("node-llama-cpp has no versions of a session file");
        const saved = readSession(path);
        const id = name ?? saved.session;
        const live = this.live(id);
        const sequence = live?.sequence ?? this.sequence();
        const clock = performance.now();
        try {
            await sequence.loadStateFromFile(statePath(path), { acceptRisk: true });
        } catch (error) {
            if (live === undefined)
                sequence.dispose();
            throw new Refusal("", error.message);
        }
        const session = new Session(this.frame, this.model, sequence, saved);
        this.sessions.set(id, session);
        const { restored, evaluated } = await session.catchUp();
        const receipt = {
            route: "blind", tokens_restored: restored, tokens_evaluated: evaluated, timings: seconds(clock)
        };
        const history = session.messages.map(({ role, content }) => ({ role, text: content }));
        return { session: id, receipt, history };
    }

    async score({ session: id, text, max_tokens: most, path }) {
        const session = this.required(id);
        const tokens = this.model.tokenize(text, false).slice(0, most);
        const rows = [];
        const row = async () => rows.push(logarithms(await session.probabilities(), this.vocabulary));
        for (const token of tokens) {
            await row();
            await session.push(token);
        }
        await row();
        session.note("assistant", text);
        writeProbabilities(path, rows);
        return { path, rows: rows.length, n_vocab: this.vocabulary, tokens };
    }

    forget({ session: id }) {
        this.required(id).drop();
        this.sessions.delete(id);
    }

    async bye() {
        await this.close();
    }

    live(id) {
        if (this.context === undefined)
            throw new Refusal("nothing-open", "no model is open; send `open` first");
        return this.sessions.get(id);
    }

    required(id) {
        const session = this.live(id);
        if (session === undefined)
            throw new Refusal("session-unknown", `there is no live session \`${id}\``);
        return session;
    }

    sequence() {
        this.live();
        if (this.context.sequencesLeft === 0)
            throw new Refusal("too-many-sessions", "every sequence of the context is taken");
        return this.context.getSequence();
    }
}
