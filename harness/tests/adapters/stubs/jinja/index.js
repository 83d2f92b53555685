// One template, whatever is asked for.
export class Template {
    render({ messages, add_generation_prompt: opens }) {
        return messages.map(({ role, content }) => `[${role}] ${content}\n`).join("") + (opens ? "[assistant] " : "");
    }
}
