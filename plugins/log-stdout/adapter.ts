/** Lines of JSON on stdout or stderr. */
import type { Writable } from 'node:stream';
import { z } from 'zod';
import { type Adapter, defineAdapter, report, Unavailable } from 'sluice/plugin';
import { append } from './append.ts';
import { lineOf } from './line.ts';

const TRIED_AGAIN_AFTER_MS = 1000;

/** Takes the streams, so that a test can give files instead. They are read when a handler opens. */
export function logTo(streams: { readonly stdout: Writable; readonly stderr: Writable }): Adapter {
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
      return {
        ...report({
          sink: ({ rule }) => rule,
          async write(entries) {
            try {
              await append(stream, entries.map(lineOf).join(''));
              host.ready(true);
            } catch (error) {
              const why = `${name} cannot be written: ${error instanceof Error ? error.message : String(error)}`;
              host.ready(false, why);
              throw new Unavailable(why, TRIED_AGAIN_AFTER_MS, { cause: error });
            }
          },
        }),
        close: () => void stream.off('error', heard),
      };
    },
  });
}

export default logTo(process);
