// Reads files in the way named by the first argument: triples of input, output, original follow.
import fs from "node:fs";
import { pipeline } from "node:stream/promises";

const ways = {
  readFileSync: (path, out) => fs.writeFileSync(out, fs.readFileSync(path)),
  readFile: async (path, out) => fs.writeFileSync(out, await fs.promises.readFile(path)),
  stream: (path, out) => pipeline(fs.createReadStream(path), fs.createWriteStream(out)),
  copyFileSync: (path, out) => fs.copyFileSync(path, out),
  statThenRead: (path, out) => {
    const buffer = Buffer.alloc(fs.statSync(path).size);
    const fd = fs.openSync(path, "r");
    let at = 0;
    while (at < buffer.length) {
      const n = fs.readSync(fd, buffer, at, buffer.length - at, at);
      if (n === 0) throw new Error("shorter than its size");
      at += n;
    }
    fs.closeSync(fd);
    fs.writeFileSync(out, buffer);
  },
};

const [way, ...files] = process.argv.slice(2);
for (let at = 0; at < files.length; at += 3) await ways[way](files[at], files[at + 1]);
