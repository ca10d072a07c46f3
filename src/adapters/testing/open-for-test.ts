/** Opens a handler as the host does, with a fake clock and a recorded log. */
import { randomUUID } from 'node:crypto';
import type { Adapter, AnyHandler, Call, Log, LogFields } from '../contract.ts';
import { logByLevel } from '../log/by-level.ts';
import { createPluginMetrics } from '../plugin-metrics.ts';
import { createSharedMemory } from '../shared-memory.ts';
import { type FakeClock, fakeClock } from './fake-clock.ts';
import { type PlaceName, PLACES } from './places.ts';

export interface LogLine {
  readonly level: keyof Log;
  readonly message: string;
  readonly fields: LogFields;
}

export interface OpenedForTest {
  readonly handler: AnyHandler;
  readonly clock: FakeClock;
  readonly logged: readonly LogLine[];
  /** The handler's counters and pages for /metrics. */
  readonly metrics: () => Promise<string>;
  readonly readiness: () => { readonly ready: boolean; readonly why: string | undefined };
  readonly close: () => Promise<void>;
  /** Ends its worker or connection as a crash does; absent in the process of the test. */
  readonly kill?: () => void;
}

export interface OpenForTestOptions {
  /** As an operator writes it, before the adapter's schema parses it. */
  readonly config: unknown;
  /** Base of relative paths in the config; default: the working directory. */
  readonly folder?: string;
  readonly handlerName?: string;
  readonly clock?: FakeClock;
  readonly signal?: AbortSignal;
  /** First back-off of failed background work. */
  readonly restartAfterMs?: number;
  /** Where it runs; `worker` needs `module`. */
  readonly place?: PlaceName;
  /** The module that exports the adapter. */
  readonly module?: URL;
}

export async function openForTest(adapter: Adapter, options: OpenForTestOptions): Promise<OpenedForTest> {
  const parsed = adapter.config.safeParse(options.config);
  if (!parsed.success)
    throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'));
  const clock = options.clock ?? fakeClock();
  const logged: LogLine[] = [];
  const log = logByLevel((level) => (message, fields = {}): void => {
    logged.push({ level, message, fields });
  });
  const metrics = createPluginMetrics(log);
  const { open: live, kill } = await PLACES[options.place ?? 'process'].open(
    adapter,
    { name: options.handlerName ?? 'tested', config: parsed.data, folder: options.folder ?? process.cwd() },
    {
      log,
      metrics,
      clock,
      shared: createSharedMemory(),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.restartAfterMs === undefined ? {} : { restartAfterMs: options.restartAfterMs }),
    },
    { module: options.module, written: options.config },
  );
  return {
    handler: live.handler,
    clock,
    logged,
    metrics: () => metrics.render(),
    readiness: () => live.readiness(),
    close: () => live.close(),
    ...(kill === undefined ? {} : { kill }),
  };
}

/** A call with enough time, unless overridden. */
export function testCall(remainingMs = 5000): Call {
  let signal: AbortSignal | undefined;
  return {
    get signal() {
      return (signal ??= AbortSignal.timeout(remainingMs));
    },
    remainingMs,
    id: randomUUID(),
  };
}
