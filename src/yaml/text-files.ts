/**
 * Files of text, of bounded size.
 * **In**: a path. **Out**: its text. **Fails**: with the system's error, or one that says why the file is no such text. A pipe or a device
 * is never opened: it may answer never, or without end.
 */
import { readFileSync, statSync, type Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

const MIB = 1024 ** 2;
/** The largest policies in use have a few megabytes; a log that was copied into the folder has more. */
const MOST_BYTES = 64 * MIB;
/** Of a secret or an address behind `$file`. */
const MOST_BYTES_OF_VALUE = MIB;

export async function readTextFile(path: string): Promise<{ readonly text: string; readonly bytes: number }> {
  check(await stat(path), MOST_BYTES);
  const bytes = await readFile(path);
  return { text: textOf(bytes), bytes: bytes.length };
}

/** Of a value in a config. What is not UTF-8 reads as U+FFFD, since it may be a key of any bytes. */
export function readValueFile(path: string): string {
  check(statSync(path), MOST_BYTES_OF_VALUE);
  return readFileSync(path, 'utf8');
}

function check(stats: Stats, most: number): void {
  if (stats.isFIFO()) throw new Error('it is a named pipe; write a file, or name a folder of files');
  if (!stats.isFile() && !stats.isDirectory()) throw new Error('it is a device or a socket; write a file');
  if (stats.isFile() && stats.size > most)
    throw new Error(
      `it has ${Math.ceil(stats.size / MIB)} MiB, more than the ${most / MIB} that are read; divide it, or move it out of the folder`,
    );
}

const SAVE_IT = 'save it as UTF-8';

function textOf(bytes: Buffer): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new Error(`it is UTF-16 text; ${SAVE_IT}`);
  if (bytes.includes(0)) throw new Error(`it has NUL bytes, so it is no text, or one in UTF-16; ${SAVE_IT}`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`it is not UTF-8 text (line ${firstWrongLine(bytes)}); ${SAVE_IT}`);
  }
}

/** A newline is in no character of several bytes, so lines are right or wrong by themselves. */
function firstWrongLine(bytes: Buffer): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  for (let from = 0; from < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, from);
    const to = newline < 0 ? bytes.length : newline;
    try {
      decoder.decode(bytes.subarray(from, to));
    } catch {
      return line;
    }
    from = to + 1;
  }
  return line;
}
