/** Appends bytes to a file or a stream, and returns how many the system accepted. */
import { fstatSync, write } from 'node:fs';
import type { Writable } from 'node:stream';

/** `error`: why fewer bytes were accepted than given. */
export interface Appended {
  readonly bytes: number;
  readonly error?: unknown;
}
export type Append = (chunk: Buffer) => Promise<Appended>;

export const appendTo = (stream: Writable, fd: number | undefined): Append =>
  fd !== undefined && isFile(fd) ? (chunk) => appendToFile(fd, chunk) : toStream(stream);

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false; // closed: the write fails with the reason
  }
}

/**
 * Node's stream for a file as stdout writes once and ignores a short write; on a full disk the rest of a line would be lost without an
 * error. `fs.write` runs in libuv's threads, so a slow disk blocks nothing.
 */
export async function appendToFile(fd: number, chunk: Buffer): Promise<Appended> {
  let bytes = 0;
  while (bytes < chunk.length) {
    const { error, count } = await writeOnce(fd, chunk, bytes);
    bytes += count;
    if (error !== undefined) return { bytes, error };
    if (count === 0) return { bytes, error: new Error('the system accepts no more bytes') };
  }
  return { bytes };
}

function writeOnce(
  fd: number,
  chunk: Buffer,
  from: number,
): Promise<{ readonly count: number; readonly error?: unknown }> {
  return new Promise((resolve) => {
    write(fd, chunk, from, chunk.length - from, null, (error, count) => {
      resolve(error === null ? { count } : { count: 0, error });
    });
  });
}

/** A pipe or socket that is not read delays the caller, never the event loop. */
function toStream(stream: Writable): Append {
  return (chunk) =>
    new Promise((resolve) => {
      stream.write(chunk, (error) => {
        resolve(error === null || error === undefined ? { bytes: chunk.length } : { bytes: 0, error });
      });
    });
}
