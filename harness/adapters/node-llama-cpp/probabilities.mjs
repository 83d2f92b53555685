import fs from "node:fs";

const MAGIC = "INTPROBS";
/** A probability that the library rounds to 0 still has a logarithm. */
const SMALLEST = 2 ** -149;

/** Writes the logarithms of the probabilities, a row for each position. Gives the length of a row. */
export function writeProbabilities(path, rows) {
    const width = Math.max(...rows.flatMap((row) => [...row.keys()])) + 1;
    const header = Buffer.alloc(16);
    header.write(MAGIC, "latin1");
    header.writeUInt32LE(rows.length, 8);
    header.writeUInt32LE(width, 12);
    const body = Buffer.alloc(rows.length * width * 4);
    rows.forEach((row, at) => {
        for (let token = 0; token < width; token++)
            body.writeFloatLE(Math.log(Math.max(row.get(token) ?? 0, SMALLEST)), (at * width + token) * 4);
    });
    fs.writeFileSync(path, Buffer.concat([header, body]));
    return width;
}
