/**
 * A handler in a process of its own, on this machine.
 * **In**: an adapter and the module that exports it, a parsed config. **Out**: an open handler; its process is started again when it ends.
 * **Fails**: with an {@link AdapterError}. A crash, an endless loop, memory without end, `process.exit` and uncaught errors concern this
 * process alone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Adapter } from '../contract.ts';
import { type HandlerEnvironment, type HandlerToOpen, type OpenHandler, secretsOf } from '../open-handler.ts';
import { moduleUrl } from '../../files/program.ts';
import { messageOf } from '../../text/message-of.ts';
import { openIsolated } from '../isolated/open-isolated.ts';
import type { OpenChannel } from '../isolated/protocol.ts';
import { handlerLog } from '../log/handler-log.ts';
import { ratedLog, type RatedLog } from '../log/line-rate.ts';
import { frame, FrameReader } from './frames.ts';
import type { RunOptions } from './run.ts';
import { packed, unpackedAnswers } from './messages.ts';
import { PrintedLines } from './printed-lines.ts';
import { tooMuch, watch } from './watchdog.ts';

export interface InWorkerOptions {
  /** URL of the module that exports the adapter. */
  readonly module: string;
  /** Default 512 MiB; for the heap. The whole process may have twice as much. */
  readonly memoryBytes?: number | undefined;
  /** Default 1 s. */
  readonly silentAfterMs?: number;
  /** For tests that kill the process; called with each one. */
  readonly onStarted?: (kill: () => void) => void;
}

const DEFAULT_MEMORY_BYTES = 512 * 1024 * 1024;
const SILENT_AFTER_MS = 1000;
const MIB = 1024 * 1024;
/** Bytes that wait for a process that does not read. */
const MAX_UNREAD_BYTES = 64 * MIB;
/** Of a process of Node that does nothing. */
const NODE_BYTES = 64 * MIB;
/** The descriptor of the stream of messages in the process. */
const STREAM = 3;

export const openInWorker = (
  adapter: Adapter,
  toOpen: HandlerToOpen,
  environment: HandlerEnvironment,
  options: InWorkerOptions,
): Promise<OpenHandler> => {
  const names = { handler: toOpen.name, adapter: adapter.name, from: 'stderr' };
  const printed = ratedLog(handlerLog(environment.log, secretsOf(adapter, toOpen), names));
  return openIsolated(adapter, toOpen, environment, 'worker', processes(printed, environment, options));
};

/** Each channel is a new process; it starts when the one before has ended, so that there is never more than one. */
function processes(
  printed: RatedLog,
  { clock, closeWithinMs, restartAfterMs }: HandlerEnvironment,
  options: InWorkerOptions,
): OpenChannel {
  const { module, memoryBytes = DEFAULT_MEMORY_BYTES, silentAfterMs = SILENT_AFTER_MS } = options;
  const main: RunOptions = { module, hasClock: clock !== undefined, closeWithinMs, restartAfterMs };
  let lastEnd: Promise<unknown> = Promise.resolve();

  return async (events) => {
    await lastEnd;
    const process = started(main, memoryBytes);
    const stream = process.stdio[STREAM] as Socket;
    stream.unref();
    const kill = (): void => void process.kill('SIGKILL');
    options.onStarted?.(kill);
    lastEnd = new Promise((resolve) => {
      process.once('exit', resolve).once('error', resolve);
    });
    let stopWatching: (() => void) | undefined;
    let isOver = false;
    let isHeard = true;
    let ranOutOfMemory = false;
    const stop = (): boolean => {
      if (isOver) return false;
      isOver = true;
      stopWatching?.();
      printed.end();
      return true;
    };
    const gone = (why: string): void => {
      kill();
      if (stop()) events.gone(why);
    };
    const startWatching = (): void => {
      const heard = (): boolean => {
        const was = isHeard;
        isHeard = false;
        return was;
      };
      stopWatching = watch(
        { pid: process.pid ?? 0, silentAfterMs, mostBytes: memoryBytes * 2 + NODE_BYTES, heard },
        gone,
      );
    };
    const reader = new FrameReader((list) => {
      if (isOver) return;
      const messages = unpackedAnswers(list);
      // Before it is open it may import large modules; that has a limit of its own.
      if (stopWatching === undefined && messages.some(({ kind }) => kind === 'opened')) startWatching();
      events.received(messages);
    });
    stream.on('data', (chunk: Buffer) => {
      isHeard = true;
      try {
        reader.push(chunk);
      } catch (error) {
        gone(`a message of its process cannot be read: ${messageOf(error)}`);
      }
    });
    stream.on('error', () => undefined); // the process has exited, or will be found silent
    linesOf(process, (line) => {
      ranOutOfMemory ||= /heap out of memory|Allocation failed/.test(line);
      if (!isOver && !isOfCrash(line)) printed.warn(line);
    });
    process.on('error', (error) => gone(`its process could not be started: ${messageOf(error)}`));
    process.on('exit', (code, signal) => {
      setImmediate(() => {
        // what it wrote last has arrived by then
        const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
        gone(ranOutOfMemory ? tooMuch(undefined, memoryBytes) : `its process ${how}`);
      });
    });
    return {
      send(messages) {
        if (isOver) return;
        const times = clock === undefined ? undefined : { nowMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
        stream.write(frame(packed(messages, times)));
        if (stream.writableLength > MAX_UNREAD_BYTES)
          gone(`its process does not read: ${stream.writableLength} bytes wait for it`);
      },
      end() {
        stop();
        kill();
      },
    };
  };
}

function started(main: RunOptions, memoryBytes: number): ChildProcess {
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      `--max-old-space-size=${Math.ceil(memoryBytes / MIB)}`,
      fileURLToPath(moduleUrl('adapters/worker/main')),
      JSON.stringify(main),
    ],
    { stdio: ['ignore', 'inherit', 'pipe', 'pipe'] },
  );
  child.unref();
  return child;
}

/** Of its stderr: what native code and Node print; the plugin's console has a way of its own. */
function linesOf({ stderr }: ChildProcess, take: (line: string) => void): void {
  if (stderr === null) return;
  (stderr as Socket).unref();
  const lines = new PrintedLines(take);
  stderr.on('data', (chunk: Buffer) => lines.push(chunk)).on('end', () => lines.end());
}

/** V8's report of a crash: collections, and a native stack. */
const isOfCrash = (line: string): boolean =>
  line.trim() === '' || /^<---|\[\d+:0x[\da-f]+\]|^FATAL ERROR|^-----|^ *\d+: 0x/.test(line);
