/** Decodes a file in an encoding of YAML: UTF-8, or UTF-16 with a byte order mark. */
import { isUtf8 } from 'node:buffer';
import type { ConfigFile } from './read.ts';

/** Bytes that cannot be decoded are a flaw; `text` ends before it. */
export function fileText(file: string, content: Uint8Array): ConfigFile {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return utf16(file, bytes.subarray(2));
  if (first === 0xfe && second === 0xff)
    return bytes.length % 2 === 0
      ? utf16(file, Buffer.from(bytes.subarray(2)).swap16())
      : { file, text: '', flaw: { why: 'incomplete UTF-16 character', at: 0 } };
  if (isUtf8(bytes)) return checked(file, bytes.toString('utf8').replace(/^\uFEFF/, ''));
  const text = bytes.toString('utf8', 0, bytesOfText(bytes));
  return {
    file,
    text,
    flaw: { why: `byte 0x${(bytes[Buffer.byteLength(text)] ?? 0).toString(16)} is not UTF-8`, at: text.length },
  };
}

function utf16(file: string, bytes: Buffer): ConfigFile {
  const text = bytes.toString('utf16le');
  if (bytes.length % 2 !== 0) return { file, text, flaw: { why: 'incomplete UTF-16 character', at: text.length } };
  return text.isWellFormed()
    ? checked(file, text)
    : {
        file,
        text: text.toWellFormed(),
        flaw: { why: 'half of a UTF-16 surrogate pair', at: text.search(/[\uD800-\uDFFF]/u) },
      };
}

const CONTROL = /[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

function checked(file: string, text: string): ConfigFile {
  const at = text.search(CONTROL);
  return at < 0
    ? { file, text }
    : {
        file,
        text,
        flaw: {
          why: `control characters are not allowed: U+${(text.codePointAt(at) ?? 0).toString(16).padStart(4, '0').toUpperCase()}`,
          at,
        },
      };
}

/** Length in bytes of the longest valid UTF-8 prefix. */
function bytesOfText(bytes: Buffer): number {
  let [low, high] = [0, bytes.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (
      isUtf8(bytes.subarray(0, middle)) ||
      isUtf8(bytes.subarray(0, middle - 1)) ||
      isUtf8(bytes.subarray(0, middle - 2)) ||
      isUtf8(bytes.subarray(0, middle - 3))
    )
      low = middle;
    else high = middle - 1;
  }
  while (low > 0 && !isUtf8(bytes.subarray(0, low))) low--;
  return low;
}
