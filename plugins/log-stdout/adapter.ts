/** Lines of JSON or text on stdout or stderr. */
import type { Writable } from 'node:stream';
import { z } from 'zod';
import { type Adapter, defineAdapter, report, Unavailable } from 'sluice/plugin';
import { lineFormat, textShape } from '../lines/format.ts';
import { Lines } from '../lines/lines.ts';
import { appendTo } from '../lines/append.ts';

const RETRY_AFTER_MS = 1000;
const CLOSE_MS = 1000;

interface Streams {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** The adapter on other streams, for tests. `fds`: their file descriptors; one that is a file is written to directly. */
export function logTo(streams: Streams, fds: Readonly<Partial<Record<keyof Streams, number>>> = {}): Adapter {
  return defineAdapter({
    name: 'log-stdout',
    summary: 'Writes each report as a line of JSON or text to stdout or stderr.',
    config: z.strictObject({
      stream: z.enum(['stdout', 'stderr']).default('stdout').describe('Where the lines go.'),
      ...textShape,
    }),
    serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 256 * 1024 } } }, // fast enough to watch
    async open({ stream: name, text }, host) {
      const stream = streams[name];
      const ignore = (): void => undefined; // the write reports the error; without a listener it would end the process
      stream.on('error', ignore);
      const format = lineFormat(text);
      const lines = new Lines(appendTo(stream, fds[name]), format.line);
      return {
        ...report({
          sink: format.sink,
          async write(entries) {
            try {
              await lines.write(entries);
              host.ready(true);
            } catch (error) {
              const why = `${name} cannot be written: ${error instanceof Error ? error.message : String(error)}`;
              host.ready(false, why);
              throw new Unavailable(why, RETRY_AFTER_MS, { cause: error });
            }
          },
        }),
        async close() {
          await lines.flush(CLOSE_MS);
          if (lines.pending > 0)
            host.log.error(`${name} was closed before its reader had read everything; unread lines are lost`, {
              batches: lines.pending,
            });
          if (lines.pending === 0) stream.off('error', ignore); // pending writes can still fail
        },
      };
    },
  });
}

export default logTo(process, { stdout: 1, stderr: 2 });
