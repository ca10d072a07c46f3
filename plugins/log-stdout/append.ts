/** Text onto a stream. */
import type { Writable } from 'node:stream';

/**
 * Settles when the system has taken all of it: a reader that stands still holds the caller back. Fails with the system's
 * error. (stdout does not stop the process meanwhile where it is a pipe or a socket; a file takes what it is given.)
 */
export function append(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}
