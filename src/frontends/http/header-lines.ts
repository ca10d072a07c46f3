/** The header lines of one HTTP request. Node's own map drops or joins repeated ones by name; ours joins all by a comma, as Envoy does. */

export class HeaderLines {
  /** By name in lower case. */
  readonly map: ReadonlyMap<string, string>;
  #repeated: Set<string> | undefined;

  /** `raw`: names and values in turn, as node:http has them: one character for each byte. */
  constructor(raw: readonly string[]) {
    const map = new Map<string, string>();
    for (let at = 0; at + 1 < raw.length; at += 2) {
      const name = (raw[at] as string).toLowerCase();
      const value = utf8Of(raw[at + 1] as string);
      const before = map.get(name);
      map.set(name, before === undefined ? value : `${before},${value}`);
      if (before !== undefined) (this.#repeated ??= new Set()).add(name);
    }
    this.map = map;
  }

  /** The first of these names that has more than one line. */
  repeatedAmong(names: readonly (string | undefined)[]): string | undefined {
    const repeated = this.#repeated;
    return repeated === undefined ? undefined : names.find((name) => name !== undefined && repeated.has(name));
  }

  textOf(bytes: string): string {
    return utf8Of(bytes);
  }
}

/** Bytes that are not UTF-8 become an exclamation mark each, as Envoy sends them by gRPC. */
function utf8Of(bytes: string): string {
  if (!BEYOND_ASCII.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  const text = buffer.toString('utf8');
  return text.includes('\ufffd') ? withMarks(buffer) : text;
}

const BEYOND_ASCII = /[\x80-\xff]/;
const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Byte by byte, since it hardly ever happens: the longest sequence that is valid at each place, else a mark. */
function withMarks(buffer: Buffer): string {
  let text = '';
  for (let at = 0; at < buffer.length;) {
    const length = sequenceAt(buffer, at);
    text += length === 0 ? '!' : buffer.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

/** The length of the valid UTF-8 sequence that begins there; 0 if there is none. */
function sequenceAt(buffer: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= buffer.length; length++) {
    try {
      STRICT.decode(buffer.subarray(at, at + length));
      return length;
    } catch {
      // A longer one may be valid.
    }
  }
  return 0;
}
