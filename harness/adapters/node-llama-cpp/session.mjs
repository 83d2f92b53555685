/**
 * A chat over one sequence. The last token is pending: not evaluated yet, so that a restored session can go on from it,
 * because a state file has no logits. It is evaluated alone, as forced and generated tokens are; only what comes before
 * is batched. So batches are the same whether or not the session was saved in between.
 */
export class Session {
    messages = [];
    tokens = [];
    evaluated = 0;

    constructor(frame, model, sequence, saved) {
        Object.assign(this, { frame, model, sequence });
        if (saved !== undefined) {
            this.messages = saved.messages;
            this.tokens = saved.tokens;
        }
    }

    note(role, content) {
        this.messages.push({ role, content });
    }

    /** Takes a message, and for the user's the header of the reply. */
    async hear(role, content) {
        this.note(role, content);
        const run = this.frame.run(this.messages);
        await this.extend(role === "user" ? [...run, ...this.frame.header(this.messages)] : run);
    }

    /** Makes this the reply. */
    async force(text) {
        const closing = this.frame.closing(this.messages);
        for (const token of [...this.model.tokenize(text, false), ...closing])
            await this.push(token);
        this.note("assistant", text);
        return text;
    }

    /** Lets the model reply. */
    async generate(most, { temperature = 0, top_k: topK, top_p: topP, seed }) {
        const closing = this.frame.closing(this.messages);
        const options = { temperature, topK: topK ?? undefined, topP: topP ?? undefined, seed: seed ?? undefined };
        const reply = [];
        while (reply.length < most) {
            const { token } = await this.next({ token: true, options });
            if (token == null || this.model.isEogToken(token))
                break;
            reply.push(token);
            this.tokens.push(token);
        }
        for (const token of closing)
            await this.push(token);
        const text = this.model.detokenize(reply);
        this.note("assistant", text);
        return text;
    }

    /** The pending token alone, then all of these but the last in one batch. */
    async extend(tokens) {
        await this.evaluate(this.pending());
        await this.evaluate(tokens.slice(0, -1));
        this.tokens = this.tokens.concat(tokens);
    }

    async push(token) {
        await this.evaluate(this.pending());
        this.tokens.push(token);
    }

    /** The distribution after the last token, by token. */
    async probabilities() {
        return (await this.next({ probabilities: true })).probabilities;
    }

    async next(generateNext) {
        await this.catchUp();
        const [token] = this.pending();
        if (token === undefined)
            throw new Error("the session's last token has been evaluated already");
        const output = await this.sequence.controlledEvaluate([[token, { generateNext }]]);
        this.evaluated += 1;
        return output.at(-1).next;
    }

    /** Tokens that the sequence does not hold yet. */
    pending() {
        return this.tokens.slice(this.sequence.nextTokenIndex);
    }

    /**
     * Makes the sequence hold everything but the last token, as the library's own chat session does: what it holds
     * beyond the common beginning is erased, and what it lacks is evaluated.
     */
    async catchUp() {
        const settled = this.tokens.slice(0, -1);
        const held = this.sequence.contextTokens;
        let common = 0;
        while (common < held.length && common < settled.length && held[common] === settled[common])
            common += 1;
        if (common < held.length)
            await this.sequence.eraseContextTokenRanges([{ start: common, end: held.length }]);
        const restored = this.sequence.nextTokenIndex;
        const missing = settled.slice(restored);
        await this.evaluate(missing);
        return { restored, evaluated: missing.length };
    }

    async evaluate(tokens) {
        if (tokens.length === 0)
            return;
        await this.sequence.evaluateWithoutGeneratingNewTokens(tokens);
        this.evaluated += tokens.length;
    }

    drop() {
        this.sequence.dispose();
    }
}
