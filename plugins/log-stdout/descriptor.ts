/** Text onto an open file descriptor: in order, whole, and off the event loop. */
import { write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Descriptor {
  /** Settles when all of it is with the kernel; waits while a slow reader's pipe is full. Fails with the system's error. */
  append(text: string): Promise<void>;
}

const FULL_PAUSE_MS = 20; // a pipe that another process made non-blocking says EAGAIN instead of waiting

/**
 * `fs.write` rather than `process.stdout.write`: that one is synchronous for pipes and files, so a reader that stands
 * still would stop every call of the engine.
 */
export function openDescriptor(fd: number): Descriptor {
  let last: Promise<void> = Promise.resolve();
  let isMidLine = false;

  async function writeWhole(text: string): Promise<void> {
    // After a write that broke off, a new line, so that it spoils no other.
    let rest = Buffer.from(isMidLine ? `\n${text}` : text);
    while (rest.length > 0) {
      const written = await writeSome(fd, rest);
      if (written > 0) isMidLine = rest[written - 1] !== 0x0a;
      rest = rest.subarray(written);
      if (written === 0) await sleep(FULL_PAUSE_MS);
    }
  }

  return {
    append(text) {
      const done = last.then(() => writeWhole(text));
      last = done.catch(() => undefined);
      return done;
    },
  };
}

function writeSome(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, (error, written) => {
      if (error === null) resolve(written);
      else if (error.code === 'EAGAIN') resolve(0);
      else reject(error);
    });
  });
}
