/** Lines of JSON on stdout or stderr. */
import { z } from 'zod';
import { type Adapter, defineAdapter, report, Unavailable } from 'sluice/plugin';
import { type Descriptor, openDescriptor } from './descriptor.ts';
import { lineOf } from './line.ts';

/** Takes the descriptors, so that a test can give files instead. */
export function logTo(descriptors: { readonly stdout: Descriptor; readonly stderr: Descriptor }): Adapter {
  return defineAdapter({
    name: 'log-stdout',
    summary: 'Writes each report as a line of JSON on stdout or stderr.',
    config: z.strictObject({
      stream: z.enum(['stdout', 'stderr']).default('stdout').describe('Where the lines go.'),
    }),
    serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 256 * 1024 } } }, // soon enough to be watched
    async open({ stream }) {
      const descriptor = descriptors[stream];
      return report({
        sink: ({ rule }) => rule,
        async write(entries) {
          try {
            await descriptor.append(entries.map(lineOf).join(''));
          } catch (error) {
            throw new Unavailable(`${stream} cannot be written: ${error instanceof Error ? error.message : String(error)}`, 1000, { cause: error });
          }
        },
      });
    },
  });
}

export default logTo({ stdout: openDescriptor(1), stderr: openDescriptor(2) });
