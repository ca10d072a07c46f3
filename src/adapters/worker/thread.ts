/**
 * The main module of a handler's thread.
 * **In**: the module of its adapter. **Out**: a thread that answers its host until it is terminated. **Fails**: with messages to the host;
 * an error that nobody catches is passed on, and the thread goes on.
 */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import type { Adapter } from '../contract.ts';
import { AdapterError } from '../errors.ts';
import { importAdapters } from '../loading/import-adapters.ts';
import { requestedMemory } from '../shared-memory-request.ts';
import { errorFields } from '../isolated/error-fields.ts';
import { Session } from '../isolated/session.ts';
import { packedAnswers, unpacked } from './messages.ts';
import type { ThreadData } from './thread-data.ts';
import { BEAT_MS, VitalSigns } from './vital-signs.ts';

const { module, signs: memory, clock, closeWithinMs, restartAfterMs } = workerData as ThreadData;
const signs = new VitalSigns(memory);
setInterval(() => {
  signs.beat();
  signs.noteMemory();
}, BEAT_MS);

async function adapterOf(name: string): Promise<Adapter> {
  const adapters = await importAdapters({ module, path: dirname(fileURLToPath(module)) });
  const adapter = adapters.find((one) => one.adapter.name === name)?.adapter;
  if (adapter === undefined)
    throw new AdapterError('ADAPTER_LOAD_FAILED', `${module} exports no adapter ${name} in a thread`);
  return adapter;
}

function sharedClock(given: SharedArrayBuffer): { nowMs(): number; monotonicMs(): number } {
  const times = new Float64Array(given);
  return { nowMs: () => times[0] as number, monotonicMs: () => times[1] as number };
}

const session = new Session({
  adapterOf,
  send: (messages) => parentPort?.postMessage(packedAnswers(messages)),
  shared: requestedMemory((request, moved) => parentPort?.postMessage(request, moved)),
  onProgress: () => signs.beat(),
  ...(clock === undefined ? {} : { clock: sharedClock(clock) }),
  ...(closeWithinMs === undefined ? {} : { closeWithinMs }),
  ...(restartAfterMs === undefined ? {} : { restartAfterMs }),
});

process.on('uncaughtException', (error: unknown, origin) =>
  session.send({
    kind: 'escaped',
    how: origin === 'unhandledRejection' ? 'rejection' : 'throw',
    error: errorFields(error),
  }),
);

/** What the plugin prints, as lines of its handler's log. What it writes to stdout itself goes there. */
const lines = (level: 'info' | 'warn'): Writable =>
  new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      session.send({ kind: 'log', level, message: text.trimEnd(), fields: { from: 'console' } });
      done();
    },
  });
globalThis.console = new Console({ stdout: lines('info'), stderr: lines('warn') });

parentPort?.on('message', (list: readonly unknown[]) => session.receive(unpacked(list)));
