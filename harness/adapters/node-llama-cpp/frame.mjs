import { Template } from "@huggingface/jinja";

import { Unsupported } from "./outcome.mjs";

/** How messages become tokens: the model's own chat template, cut into what each message adds. */
export class ChatFrame {
    constructor(model) {
        this.model = model;
        const { tokenizer } = model.fileInfo.metadata;
        if (tokenizer?.chat_template == null)
            throw new Unsupported("the model has no chat template");
        this.template = new Template(tokenizer.chat_template);
        const text = (token) => token == null ? "" : model.detokenize([token], true);
        this.special = { bos_token: text(model.tokens.bos), eos_token: text(model.tokens.eos) };
    }

    render(messages, addGenerationPrompt) {
        return this.template.render({
            messages, add_generation_prompt: addGenerationPrompt, ...this.special
        });
    }

    /** What the last message adds to those before it. */
    run(messages) {
        const before = messages.length > 1 ? this.render(messages.slice(0, -1), false) : "";
        return this.tokens(this.after(before, this.render(messages, false)), messages.length === 1);
    }

    /** What stands before a reply. */
    header(messages) {
        return this.tokens(this.after(this.render(messages, false), this.render(messages, true)), false);
    }

    /** What stands behind a reply. */
    closing(messages) {
        const reply = { role: "assistant", content: "x" };
        const open = this.render(messages, true) + reply.content;
        return this.tokens(this.after(open, this.render([...messages, reply], false)), false);
    }

    after(before, whole) {
        if (!whole.startsWith(before))
            throw new Unsupported("the model's chat template rewrites earlier messages");
        return whole.slice(before.length);
    }

    tokens(text, first) {
        const tokens = this.model.tokenize(text, true);
        const bos = this.model.tokens.bos;
        const wants = first && tokens.length > 0 && this.model.tokens.shouldPrependBosToken && tokens[0] !== bos;
        return wants ? [bos, ...tokens] : tokens;
    }
}
