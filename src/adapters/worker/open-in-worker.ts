/**
 * A handler in a thread of its own.
 * **In**: an adapter and the module that exports it, a parsed config. **Out**: an open handler; its thread is started again when it ends.
 * **Fails**: with an {@link AdapterError}. An endless loop, memory without end, `process.exit` and uncaught errors end or concern this
 * thread alone; a crash of native code ends the process.
 */
import { Worker } from 'node:worker_threads';
import type { Adapter } from '../contract.ts';
import type { HandlerEnvironment, HandlerToOpen, OpenHandler } from '../open-handler.ts';
import { SharedLock } from '../shared-lock.ts';
import type { SharedMemory } from '../shared-memory.ts';
import { answerMemoryRequest } from '../shared-memory-request.ts';
import { moduleUrl } from '../../files/program.ts';
import { messageOf } from '../../text/message-of.ts';
import { openIsolated } from '../isolated/open-isolated.ts';
import type { OpenChannel } from '../isolated/protocol.ts';
import { packed, unpackedAnswers } from './messages.ts';
import type { FromThread, ThreadData } from './thread-data.ts';
import { VitalSigns } from './vital-signs.ts';
import { tooMuch, watch } from './watchdog.ts';

export interface InWorkerOptions {
  /** URL of the module that exports the adapter. */
  readonly module: string;
  /** Default 512 MiB; for the heap, and again for buffers outside of it. */
  readonly memoryBytes?: number | undefined;
  /** Default 1 s. */
  readonly silentAfterMs?: number;
  /** Memory of a clock that tests move. */
  readonly clock?: SharedArrayBuffer;
  /** For tests that kill the thread; called with each one. */
  readonly onStarted?: (terminate: () => void) => void;
}

export const DEFAULT_MEMORY_BYTES: number = 512 * 1024 * 1024;
const SILENT_AFTER_MS = 1000;
const MIB = 1024 * 1024;

export const openInWorker = (
  adapter: Adapter,
  toOpen: HandlerToOpen,
  environment: HandlerEnvironment,
  options: InWorkerOptions,
): Promise<OpenHandler> =>
  openIsolated(adapter, toOpen, environment, 'worker', threads(toOpen.name, environment, options));

/** Each channel is a new thread; it starts when the one before has ended, so that there is never more than one. */
function threads(name: string, environment: HandlerEnvironment, options: InWorkerOptions): OpenChannel {
  const { module, clock, memoryBytes = DEFAULT_MEMORY_BYTES, silentAfterMs = SILENT_AFTER_MS } = options;
  const { closeWithinMs, restartAfterMs, worker } = environment;
  const used = new Set<SharedArrayBuffer>();
  const shared: SharedMemory = {
    get(handler, part, bytes) {
      const memory = environment.shared.get(handler, part, bytes);
      used.add(memory);
      return memory;
    },
    all: used,
  };
  let lastEnd: Promise<unknown> = Promise.resolve();

  return async (events) => {
    await lastEnd;
    const signs = new VitalSigns();
    const data: ThreadData = { module, signs: signs.memory, clock, closeWithinMs, restartAfterMs };
    const thread = new Worker(moduleUrl('adapters/worker/thread'), {
      name: `handler ${name}`,
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(memoryBytes / MIB) },
    });
    thread.unref();
    options.onStarted?.(() => void thread.terminate());
    lastEnd = new Promise((resolve) => {
      thread.once('exit', resolve);
    });
    let stopWatching: (() => void) | undefined;
    let isOver = false;
    const stop = (): boolean => {
      if (isOver) return false;
      isOver = true;
      stopWatching?.();
      return true;
    };
    const gone = (why: string): void => {
      if (stop()) events.gone(why);
    };
    const kill = (why: string): void => {
      void thread.terminate();
      gone(why);
    };
    thread.on('message', (message: FromThread) => {
      if ('port' in message) return answerMemoryRequest(message, shared);
      if (isOver) return undefined;
      const messages = unpackedAnswers(message);
      // Before it is open it may import large modules; that has a limit of its own.
      if (stopWatching === undefined && messages.some(({ kind }) => kind === 'opened'))
        stopWatching = watch(signs, { silentAfterMs, externalBytes: memoryBytes }, kill);
      return events.received(messages);
    });
    thread.on('error', (error: unknown) => {
      const { code } = error as { readonly code?: unknown };
      kill(
        code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? tooMuch(undefined, memoryBytes)
          : `its thread failed: ${messageOf(error)}`,
      );
    });
    thread.on('messageerror', (error: unknown) => kill(`a message of its thread cannot be read: ${messageOf(error)}`));
    thread.on('exit', (code) => {
      for (const memory of used) SharedLock.releaseOf(memory, worker?.number ?? 1); // it may have held a lock
      gone(`its thread exited with code ${code}`);
    });
    return {
      send: (messages) => {
        if (!isOver) thread.postMessage(packed(messages));
      },
      end() {
        stop();
        void thread.terminate();
      },
    };
  };
}
