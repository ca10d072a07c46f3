/** Lines of JSON on stdout or stderr. */
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Adapter, defineAdapter, report, Unavailable } from 'sluice/plugin';
import { Lines } from './lines.ts';
import { appendTo } from './taken.ts';

const TRIED_AGAIN_AFTER_MS = 1000;
const CLOSE_WITHIN_MS = 1000;

interface Streams {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/**
 * Takes the streams, so that a test can give others; they are read when a handler opens. `fds`: their file descriptors;
 * where one is a file it is written to by itself.
 */
export function logTo(streams: Streams, fds: Readonly<Partial<Record<keyof Streams, number>>> = {}): Adapter {
  return defineAdapter({
    name: 'log-stdout',
    summary: 'Writes each report as a line of JSON on stdout or stderr.',
    config: z.strictObject({
      stream: z.enum(['stdout', 'stderr']).default('stdout').describe('Where the lines go.'),
    }),
    serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 256 * 1024 } } }, // soon enough to be watched
    async open({ stream: name }, host) {
      const stream = streams[name];
      const heard = (): void => undefined; // a write says so itself; unheard, the error would end the process
      stream.on('error', heard);
      const lines = new Lines(appendTo(stream, fds[name]));
      return {
        ...report({
          sink: ({ rule }) => rule,
          async write(entries) {
            try {
              await lines.write(entries);
              host.ready(true);
            } catch (error) {
              const why = `${name} cannot be written: ${error instanceof Error ? error.message : String(error)}`;
              host.ready(false, why);
              throw new Unavailable(why, TRIED_AGAIN_AFTER_MS, { cause: error });
            }
          },
        }),
        async close() {
          const late = new AbortController();
          await Promise.race([
            lines.flush(),
            sleep(CLOSE_WITHIN_MS, undefined, { signal: late.signal }).catch(() => undefined),
          ]);
          late.abort();
          if (lines.waiting > 0)
            host.log.error(`${name} was closed before its reader had taken everything; what it has not read is lost`, {
              batches: lines.waiting,
            });
          stream.off('error', heard);
          if (lines.waiting > 0) stream.on('error', () => undefined); // of what is still under way
        },
      };
    },
  });
}

export default logTo(process, { stdout: 1, stderr: 2 });
