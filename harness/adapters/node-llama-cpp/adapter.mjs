// node-llama-cpp behind intact's protocol: one request a line on standard input, one answer a line on standard output.
import fs from "node:fs";
import readline from "node:readline";

import { Subject } from "./subject.mjs";
import { Refusal, Unsupported } from "./outcome.mjs";

// Standard output belongs to the protocol; whatever else prints goes to standard error.
console.log = console.info = console.warn = console.error;
const answer = (seq, outcome) => fs.writeSync(1, JSON.stringify({ kind: "reply", seq, outcome }) + "\n");

const FULL = new Set(["ENOSPC", "EDQUOT"]);

const subject = new Subject();

async function outcome(request) {
    const operation = subject.operations[request.op];
    if (operation === undefined)
        return { status: "unsupported", message: `node-llama-cpp's adapter has no operation \`${request.op}\`` };
    try {
        return { status: "ok", result: { op: request.op, ...(await operation.call(subject, request)) } };
    } catch (error) {
        if (error instanceof Unsupported)
            return { status: "unsupported", message: error.message };
        if (error instanceof Refusal)
            return { status: "refused", code: error.code, message: error.message };
        return { status: "error", message: error?.message ?? String(error), no_room: FULL.has(error?.code) };
    }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
    const { seq, request } = JSON.parse(line);
    answer(seq, await outcome(request));
    if (request.op === "bye")
        break;
}
process.exit(0);
