"""intact's protocol in Python: one request a line on standard input, one answer a line on standard output."""

import errno
import json
import os
import sys

PROTOCOL = 1


class Unsupported(Exception):
    """The subject cannot do this at all."""


class Refusal(Exception):
    """The subject decided against it. An empty code: it gives no reason that a program could act on."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def serve(subject):
    """Answers requests with the subject's methods of the same names until it is told to leave."""
    # Standard output belongs to the protocol; whatever else prints, C++ included, goes to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        envelope = json.loads(line)
        request = envelope["request"]
        operation = request.pop("op")
        reply = {"kind": "reply", "seq": envelope["seq"], "outcome": outcome(subject, operation, request)}
        print(json.dumps(reply), file=answers, flush=True)
        if operation == "bye":
            return


def outcome(subject, operation, request):
    method = getattr(subject, operation, None) if operation in subject.OPERATIONS else None
    if method is None:
        return {"status": "unsupported", "message": f"this adapter has no operation `{operation}`"}
    try:
        return {"status": "ok", "result": {"op": operation, **(method(**request) or {})}}
    except Unsupported as error:
        return {"status": "unsupported", "message": str(error)}
    except Refusal as error:
        return {"status": "refused", "code": error.code, "message": error.message}
    except Exception as error:  # Anything else that the subject did not foresee is told, not died of.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        return {"status": "error", "message": f"{type(error).__name__}: {error}", "no_room": full}
