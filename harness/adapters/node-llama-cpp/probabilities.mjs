import fs from "node:fs";

const MAGIC = "INTPROBS";
/** A probability that the library rounds to 0 still has a logarithm. */
const SMALLEST = 2 ** -149;

/** The logarithms of the probabilities of all tokens of a vocabulary. */
export function logarithms(probabilities, vocabulary) {
    const row = new Float32Array(vocabulary).fill(Math.log(SMALLEST));
    for (const [token, probability] of probabilities) {
        if (token >= vocabulary)
            throw new Error(`token ${token} is outside the vocabulary of ${vocabulary}`);
        row[token] = Math.log(Math.max(probability, SMALLEST));
    }
    return row;
}

/** Writes rows of logarithms, one for each position. */
export function writeProbabilities(path, rows) {
    const header = Buffer.alloc(16);
    header.write(MAGIC, "latin1");
    header.writeUInt32LE(rows.length, 8);
    header.writeUInt32LE(rows[0].length, 12);
    const body = Buffer.alloc(rows.length * rows[0].length * 4);
    let place = 0;
    for (const row of rows)
        for (const logarithm of row)
            place = body.writeFloatLE(logarithm, place);
    fs.writeFileSync(path, Buffer.concat([header, body]));
}
