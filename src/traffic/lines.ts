/**
 * **In**: a file, compressed if its name ends in .gz or .zst. **Out**: its lines, in batches. Memory is bounded by the longest line
 * that is allowed. **Fails**: with an error of the file system or of the decompression, after the lines before it.
 */
import { createReadStream } from 'node:fs';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

const CHUNK_BYTES = 1024 * 1024;
const LF = 0x0a;

/** `null` stands for a line that is longer than the limit. */
export type Lines = readonly (Buffer | null)[];

export async function* linesOf(path: string, maxBytes: number): AsyncGenerator<Lines> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let isTooLong = false;
  for await (const chunk of bytesOf(path)) {
    const lines: (Buffer | null)[] = [];
    let from = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, from)) {
      const rest = chunk.subarray(from, end);
      from = end + 1;
      if (isTooLong || heldBytes + rest.length > maxBytes) lines.push(null);
      else lines.push(held.length === 0 ? rest : Buffer.concat([...held, rest]));
      held = [];
      heldBytes = 0;
      isTooLong = false;
    }
    if (from < chunk.length && !isTooLong) {
      heldBytes += chunk.length - from;
      if (heldBytes > maxBytes) {
        isTooLong = true;
        held = [];
      } else held.push(Buffer.from(chunk.subarray(from)));
    }
    if (lines.length > 0) yield lines;
  }
  if (isTooLong) yield [null];
  else if (heldBytes > 0) yield [Buffer.concat(held)];
}

async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  const file: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const decompress = decompressorOf(path);
  // An error of the file reaches the reader of the last stream.
  const bytes: Readable = decompress === undefined ? file : pipeline(file, decompress, () => {});
  for await (const chunk of bytes) yield chunk as Buffer;
}

function decompressorOf(path: string): Transform | undefined {
  if (path.endsWith('.gz')) return createGunzip({ chunkSize: CHUNK_BYTES });
  return path.endsWith('.zst') ? createZstdDecompress({ chunkSize: CHUNK_BYTES }) : undefined;
}
