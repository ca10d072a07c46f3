/**
 * The documents of a YAML stream, as Kubernetes' tools cut it.
 * **In**: bytes in chunks of any size. **Out**: the bytes of each document, one at a time. **Fails**: with an OversizedDocument.
 */

export interface DocumentBytes {
  /** Ends with a line break. */
  readonly bytes: Buffer;
  /** Of its first line in the stream, from 1. */
  readonly line: number;
}

/** More than any API server takes for an object, and room for a List of some thousand. */
const MAX_BYTES = 8 << 20;

export class OversizedDocument extends Error {
  /** Where the document begins. */
  readonly line: number;

  constructor(line: number) {
    super(`a document begins here that has more than ${MAX_BYTES >> 20} MiB`);
    this.line = line;
  }
}

const BREAK = 0x0a;
const DASHES = '---';

/**
 * A line `---` ends the document before it. It stays with the one after it if nothing stands before it, as in Istio, or if more than
 * spaces stands in it: a comment, or the start of a document.
 */
export async function* documentsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<DocumentBytes> {
  let parts: Buffer[] = [];
  let size = 0;
  let line = 1;
  const take = (bytes: Buffer): void => {
    size += bytes.length;
    if (size > MAX_BYTES) throw new OversizedDocument(line);
    if (bytes.length > 0) parts.push(bytes);
  };
  const finished = (): DocumentBytes => {
    const document = { bytes: Buffer.concat(parts), line };
    line += breaksIn(document.bytes);
    parts = [];
    size = 0;
    return document;
  };
  for await (const lines of wholeLines(chunks)) {
    let at = 0;
    for (let start = nextSeparator(lines, 0); start >= 0; start = nextSeparator(lines, at)) {
      take(lines.subarray(at, start));
      const end = lines.indexOf(BREAK, start) + 1;
      const separator = lines.subarray(start, end);
      at = end;
      const isEmpty = size === 0;
      if (!isEmpty) yield finished();
      if (isEmpty || !isBare(separator)) take(separator);
      else line++;
    }
    take(lines.subarray(at));
  }
  if (size > 0) yield finished();
}

/** In pieces that end with a line break; the last gets one if it has none. */
async function* wholeLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const text = Buffer.concat([rest, chunk]);
    const end = text.lastIndexOf(BREAK) + 1;
    if (end > 0) yield text.subarray(0, end);
    rest = text.subarray(end);
    if (rest.length > MAX_BYTES) break; // the reader refuses it
  }
  if (rest.length > 0) yield Buffer.concat([rest, Buffer.from('\n')]);
}

/** Position of the next line that begins with `---` and no longer word; `at` is the start of a line. */
function nextSeparator(lines: Buffer, at: number): number {
  let start = at;
  while (start < lines.length) {
    if (lines.toString('latin1', start, start + DASHES.length) === DASHES && isSpace(lines[start + DASHES.length]))
      return start;
    const next = lines.indexOf(`\n${DASHES}`, start);
    if (next < 0) return -1;
    start = next + 1;
  }
  return -1;
}

const isSpace = (octet: number | undefined): boolean =>
  octet === 0x20 || octet === 0x09 || octet === 0x0d || octet === BREAK;
const isBare = (separator: Buffer): boolean => separator.toString('latin1', DASHES.length).trim() === '';

function breaksIn(bytes: Buffer): number {
  let breaks = 0;
  for (let at = bytes.indexOf(BREAK); at >= 0; at = bytes.indexOf(BREAK, at + 1)) breaks++;
  return breaks;
}
