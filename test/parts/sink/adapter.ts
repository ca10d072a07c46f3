/** A sink that appends its entries to a file, and has the fault that another file names at the moment. */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Adapter, defineAdapter, Rejected, report, Unavailable } from 'sluice/plugin';
import { z } from 'zod';

const SLOW_MS = 50;

/** A server refuses `process.exit` to a plugin. */
const crash = (): never => (process as unknown as { reallyExit(code: number): never }).reallyExit(7);

/** Instead of taking a batch, or besides. */
const FAULTS = {
  none: (take: () => void) => take(),
  reject: () => Promise.reject(new Rejected('it takes nothing today')),
  away: () => Promise.reject(new Unavailable('it is away')),
  hang: () => new Promise<void>(() => undefined),
  /** Once; of a thread, if it runs in one. */
  exit(take: () => void, file: string) {
    try {
      rmSync(file);
    } catch {
      return take(); // another worker has read the file at the same time, and removed it
    }
    crash();
  },
  /** Once; then it does not open any more, and one that is open hangs. */
  gone(_: () => void, file: string) {
    writeFileSync(file, 'closed');
    crash();
  },
  closed: () => new Promise<void>(() => undefined),
  slow: (take: () => void) => sleep(SLOW_MS).then(take),
  forgotten(take: () => void) {
    void Promise.reject(new Error('nobody awaits this'));
    take();
  },
} satisfies Readonly<Record<string, (take: () => void, file: string) => void | Promise<void>>>;
export type SinkFault = keyof typeof FAULTS;

function faultIn(file: string): SinkFault {
  try {
    // The file is empty for a moment while a test writes it.
    return (readFileSync(file, 'utf8') || 'none') as SinkFault;
  } catch {
    return 'none';
  }
}

const sink = defineAdapter({
  name: 'log-faulty',
  summary: 'Appends entries to a file, with faults.',
  config: z.strictObject({
    out: z.string().describe('The file of the entries, one a line as JSON.'),
    fault: z.string().describe('The file that names the fault; without it, there is none.'),
  }),
  serves: { report: { input: 'any', batch: { max: 100, maxAgeMs: 20 } } },
  open: async ({ out, fault }) => {
    if (faultIn(fault) === 'closed') throw new Error('it does not open today');
    return report<string>({
      sink: ({ rule }) => rule,
      write: async (entries) => {
        const lines = entries.map(({ id, input, sink: rule }) => `${JSON.stringify({ id, rule, ...input })}\n`);
        await FAULTS[faultIn(fault)](() => appendFileSync(out, lines.join('')), fault);
      },
    });
  },
});

export default [sink] satisfies readonly Adapter[];
