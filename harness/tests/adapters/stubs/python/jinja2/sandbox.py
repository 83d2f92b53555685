"""One template, whatever is asked for."""


class ImmutableSandboxedEnvironment:
    def __init__(self, **_):
        pass

    def from_string(self, _):
        return self

    def render(self, messages, add_generation_prompt):
        text = "".join(f"[{message['role']}] {message['content']}\n" for message in messages)
        return text + ("[assistant] " if add_generation_prompt else "")
