import fs from "node:fs";
import path from "node:path";

/** The state file of llama.cpp that belongs to a session file. */
export const statePath = (session) => path.join(path.dirname(session), path.parse(session).name + ".kv");

/** Writes what a state file does not hold: the chat, and every token with the pending one. Gives its size. */
export function writeSession(file, id, { messages, tokens, sequence }) {
    const named = messages.map(({ role, content }) => ({ role, content, tokens: [] }));
    const text = JSON.stringify({ session: id, messages: named, tokens, cached: sequence.nextTokenIndex });
    fs.writeFileSync(file, text);
    return Buffer.byteLength(text);
}

export function readSession(file) {
    const { session, messages, tokens } = JSON.parse(fs.readFileSync(file, "utf8"));
    return { session, messages: messages.map(({ role, content }) => ({ role, content })), tokens };
}
