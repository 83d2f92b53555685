#!/usr/bin/env python3
"""A whole adapter: intact's protocol over a toy whose memory is a running sum. Begin yours with a copy.

Tokens are bytes. The "logits" after a session depend on every byte before, so a restore that loses one is seen.
"""
import json
import struct
import sys

OPERATIONS = ["hello", "open", "start", "say", "save", "load", "score", "forget", "bye"]
sessions = {}  # name -> {"tokens": [...], "state": int, "history": [...]}


def evaluate(session, text):
    for byte in text.encode():
        session["tokens"].append(byte)
        session["state"] = (session["state"] * 31 + byte) % 65521


def logits(session):
    return [float((session["state"] * (token + 1)) % 257) / 16 for token in range(256)]


def answer(op, session=None, path=None, text="", **rest):
    if op in ("save", "score", "forget") and session not in sessions:
        return {"status": "refused", "code": "session-unknown", "message": f"there is no live session {session}"}
    result = {"op": op}
    if op == "hello":
        result |= {"protocol": 1, "subject": "example", "version": "1.0", "release": "none", "operations": OPERATIONS}
    elif op == "open":
        result |= {"architecture": "toy", "n_vocab": 256, "n_ctx": 4096}
    elif op in ("start", "say"):
        live = sessions.setdefault(session, {"tokens": [], "state": 7, "history": []})
        if rest.get("system") and not live["history"]:
            live["history"].append({"role": "system", "text": rest["system"]})
            evaluate(live, rest["system"])
        if op == "say":
            reply = rest.get("reply") or "Yes."
            live["history"] += [{"role": "user", "text": text}, {"role": "assistant", "text": reply}]
            evaluate(live, text + reply)
            result |= {"text": reply, "tokens": len(live["tokens"]), "tokens_evaluated": len((text + reply).encode())}
    elif op == "save":
        with open(path, "w", encoding="utf-8") as file:
            size = file.write(json.dumps({"session": session, **sessions[session]}))
        result |= {"files": [path], "bytes": size, "tokens": len(sessions[session]["tokens"])}
    elif op == "load":
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        name = session or saved.pop("session")
        sessions[name] = {key: saved[key] for key in ("tokens", "state", "history")}
        receipt = {"route": "blind", "tokens_restored": len(saved["tokens"]), "tokens_evaluated": 0}
        result |= {"session": name, "receipt": receipt, "history": saved["history"]}
    elif op == "score":
        rows, forced = [logits(sessions[session])], list(text.encode())[: rest["max_tokens"]]
        for byte in forced:
            evaluate(sessions[session], chr(byte))
            rows.append(logits(sessions[session]))
        with open(path, "wb") as file:
            file.write(b"INTLOGIT" + struct.pack("<II", len(rows), 256))
            file.writelines(struct.pack("<256f", *row) for row in rows)
        result |= {"path": path, "rows": len(rows), "n_vocab": 256, "tokens": forced}
    elif op == "forget":
        del sessions[session]
    elif op != "bye":
        return {"status": "unsupported", "message": f"there is no operation {op}"}
    return {"status": "ok", "result": result}


for line in sys.stdin:
    envelope = json.loads(line)
    try:
        outcome = answer(**envelope["request"])
    except Exception as error:
        outcome = {"status": "error", "message": f"{type(error).__name__}: {error}"}
    print(json.dumps({"kind": "reply", "seq": envelope["seq"], "outcome": outcome}), flush=True)
    if envelope["request"]["op"] == "bye":
        break
