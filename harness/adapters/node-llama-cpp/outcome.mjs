/** The subject cannot do this at all. */
export class Unsupported extends Error {}

/** The subject decided against it. An empty code means that it gives no reason that a program could act on. */
export class Refusal extends Error {
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}
