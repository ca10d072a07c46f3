/** Octets onto a file or a stream, and how many of them the system has taken. */
import { fstatSync, write } from 'node:fs';
import type { Writable } from 'node:stream';

/** `error`: why fewer were taken than given. */
export interface Taken {
  readonly octets: number;
  readonly error?: unknown;
}
export type Append = (chunk: Buffer) => Promise<Taken>;

export const appendTo = (stream: Writable, fd: number | undefined): Append =>
  fd !== undefined && isFile(fd) ? toFile(fd) : toStream(stream);

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false; // closed: a write says why
  }
}

/**
 * Node writes a file as stdout once, whatever came of it: on a full disk the rest of a line was lost without an error.
 * Written in a thread of libuv, so that a slow disk holds nobody up.
 */
function toFile(fd: number): Append {
  return async (chunk) => {
    let octets = 0;
    while (octets < chunk.length) {
      const { error, count } = await writeOnce(fd, chunk, octets);
      octets += count;
      if (error !== undefined) return { octets, error };
      if (count === 0) return { octets, error: new Error('the system takes nothing') };
    }
    return { octets };
  };
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

/** A pipe or socket whose reader stands still holds the caller up, never the event loop. */
function toStream(stream: Writable): Append {
  return (chunk) =>
    new Promise((resolve) => {
      stream.write(chunk, (error) => {
        resolve(error === null || error === undefined ? { octets: chunk.length } : { octets: 0, error });
      });
    });
}
