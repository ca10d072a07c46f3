/**
 * A handler's process.
 * **In**: the module of its adapter; messages on a stream. **Out**: messages on that stream, until the host closes it or kills the process.
 * **Fails**: with messages to the host; an error that nobody catches is passed on, and the process goes on.
 */
import { Console } from 'node:console';
import { Socket } from 'node:net';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Adapter } from '../contract.ts';
import { AdapterError } from '../errors.ts';
import { importAdapters } from '../loading/import-adapters.ts';
import { createSharedMemory, type SharedMemory } from '../shared-memory.ts';
import { NO_SECRETS } from '../../text/secret-texts.ts';
import { errorFields } from '../isolated/error-fields.ts';
import { Session } from '../isolated/session.ts';
import { handlerLog } from '../log/handler-log.ts';
import { ratedLog } from '../log/line-rate.ts';
import { BEAT, frame, FrameReader } from './frames.ts';
import { packedAnswers, unpacked } from './messages.ts';
import { BEAT_MS } from './watchdog.ts';

/** As JSON, the argument of the process. */
export interface RunOptions {
  /** URL of the module that exports the adapter. */
  readonly module: string;
  /** The host sends its clock, which a test moves. */
  readonly hasClock: boolean;
  readonly closeWithinMs: number | undefined;
  readonly restartAfterMs: number | undefined;
}

const { module, hasClock, closeWithinMs, restartAfterMs } = JSON.parse(process.argv[2] ?? '') as RunOptions;
const stream = new Socket({ fd: 3 });
let times = { nowMs: 0, monotonicMs: 0 };
let workers = 1;
let beatAtMs = 0;

/** Written at once, also within a long turn of the event loop. */
function beat(): void {
  const nowMs = performance.now();
  if (nowMs - beatAtMs < BEAT_MS / 2) return;
  beatAtMs = nowMs;
  stream.write(BEAT);
}

async function adapterOf(name: string): Promise<Adapter> {
  const adapters = await importAdapters({ module, path: dirname(fileURLToPath(module)) });
  const adapter = adapters.find((one) => one.adapter.name === name)?.adapter;
  if (adapter === undefined) throw new AdapterError('ADAPTER_LOAD_FAILED', `${module} exports no adapter ${name}`);
  return adapter;
}

const own = createSharedMemory();
const shared: SharedMemory = {
  get(handler, name, bytes) {
    if (workers > 1)
      throw new Error(
        'memory that all workers share does not reach a process of its own; leave out `run`, or serve with one worker',
      );
    return own.get(handler, name, bytes);
  },
  all: [],
};

const session = new Session({
  adapterOf,
  send: (messages) => stream.write(frame(packedAnswers(messages))),
  shared,
  onProgress: beat,
  onClosed: () => printed.end(),
  ...(hasClock ? { clock: { nowMs: () => times.nowMs, monotonicMs: () => times.monotonicMs } } : {}),
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
// A terminal sends Ctrl-C to all its processes; the host ends this one when it has drained.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

/** What the plugin prints, as lines of its handler's log. What it writes to stdout itself goes there. */
const printed = ratedLog(handlerLog(session.log, NO_SECRETS, { from: 'console' }));
const lines = (level: 'info' | 'warn'): Writable =>
  new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      printed[level](text.trimEnd());
      done();
    },
  });
globalThis.console = new Console({ stdout: lines('info'), stderr: lines('warn') });

const reader = new FrameReader((list) => {
  const messages = unpacked(list, (hosts) => {
    times = hosts;
  });
  const [first] = messages;
  if (first?.kind === 'open') workers = first.worker.count; // it is the first on a channel
  session.receive(messages);
});
stream.on('data', (chunk: Buffer) => reader.push(chunk));
stream.on('error', () => process.exit(1));
stream.on('close', () => process.exit(0));
setInterval(beat, BEAT_MS);

/** The host may be killed while a handler loops; then this process must end itself, and its event loop is blocked. */
const PARENT_GONE = `
  setInterval(() => { if (process.ppid !== ${process.ppid}) process.kill(process.pid, 'SIGKILL'); }, 1000);`;
/** A thread takes as long to start as the rest of this process; first it opens its handler. */
const WATCHED_AFTER_MS = 2000;
setTimeout(() => new Worker(PARENT_GONE, { eval: true }).unref(), WATCHED_AFTER_MS).unref();
