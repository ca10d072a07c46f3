/**
 * **In**: an adapter, a parsed config, the environment of the process. **Out**: an open handler.
 * **Fails**: with an {@link AdapterError} that names adapter and handler; nothing stays open.
 */
import { superviseBackground } from './background.ts';
import { secretsOfConfig } from './config-secrets.ts';
import { SecretTexts } from '../text/secret-texts.ts';
import {
  type Adapter,
  type AnyHandler,
  CAPABILITIES,
  type Capability,
  type Host,
  type Log,
  type LogFields,
} from './contract.ts';
import { AdapterError } from './errors.ts';
import { guardedHandler } from './guarded-handler.ts';
import { runAs } from './running-plugin.ts';
import type { EscapedErrors } from './escaped-errors.ts';
import { logByLevel } from './log/by-level.ts';
import { handlerLog } from './log/handler-log.ts';
import { ratedLog } from './log/line-rate.ts';
import { withInstallAdvice } from './missing-package.ts';
import type { PluginMetrics } from './plugin-metrics.ts';
import { useSecrets } from './secrets-in-use.ts';
import type { SharedMemory } from './shared-memory.ts';
import { kindOf } from '../text/kind-of.ts';
import { nearest } from '../text/nearest.ts';
import { settlesWithin } from '../time/settles-within.ts';
import { saidBy } from './thrown-place.ts';

/** Shared by all handlers of a process. */
export interface HandlerEnvironment {
  readonly log: Log;
  readonly metrics: PluginMetrics;
  readonly shared: SharedMemory;
  /** Default: one worker. */
  readonly worker?: Host['worker'];
  /** Default: the system clocks. */
  readonly clock?: Host['clock'];
  /** Aborts opening; afterwards closes. */
  readonly signal?: AbortSignal;
  /** Default 10 s; opening needs no backend. */
  readonly openWithinMs?: number;
  /** Time for background work to end and for the handler's `close`, which gets at least a quarter of it. Default 5 s. */
  readonly closeWithinMs?: number;
  /** First back-off of failed background work, and of a handler that runs elsewhere; doubled each time. Default 500 ms and 100 ms. */
  readonly restartAfterMs?: number;
  /** Takes errors that a handler that runs elsewhere did not catch. */
  readonly escaped?: EscapedErrors | undefined;
  /** Called when the readiness may have changed. */
  readonly onReadiness?: () => void;
}

/** A handler as declared, its config parsed by the adapter's schema. `folder` is that of the file that declares it. */
export interface HandlerToOpen {
  readonly name: string;
  readonly config: unknown;
  readonly folder: string;
  /** What no error may show; absent: what the adapter's schema marks. */
  readonly secrets?: SecretTexts | undefined;
}

export const secretsOf = (adapter: Adapter, { config, secrets }: HandlerToOpen): SecretTexts =>
  secrets ?? new SecretTexts(secretsOfConfig(adapter.config, config));

/** A handler that is open. */
export interface OpenHandler {
  readonly handler: AnyHandler;
  /** Whether its backend is available, and why not. */
  readonly readiness: () => { readonly ready: boolean; readonly why: string | undefined };
  /** Aborts the host's signal, waits for background work, then closes the handler. Idempotent; never rejects: errors are logged. */
  readonly close: () => Promise<void>;
  /** Rules that it rejected after they were prepared, by what it made for them; settles when it has answered for all. Absent: it throws. */
  readonly rejected?: () => Promise<ReadonlyMap<unknown, string>>;
  /** Where it runs; absent: in this thread. */
  readonly running?: () => HandlerPlace;
}

export interface HandlerPlace {
  /** `worker`, or an address. */
  readonly where: string;
  /** Attempts to open it again. */
  readonly restarts: number;
  /** Why it ended last; `atMs` since 1970. */
  readonly lastEnd: { readonly why: string; readonly atMs: number } | undefined;
}

const PROCESS_CLOCK: Host['clock'] = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const LEAST_SHARE = 0.25;
const METHODS: Readonly<Record<Capability, readonly (keyof AnyHandler)[]>> = {
  enrich: ['lookup'],
  check: ['check'],
  quota: ['bucket', 'charge'],
  report: ['sink', 'write'],
};

export async function openHandler(
  adapter: Adapter,
  toOpen: HandlerToOpen,
  environment: HandlerEnvironment,
): Promise<OpenHandler> {
  const { name, config, folder } = toOpen;
  const secrets = secretsOf(adapter, toOpen);
  const isClosed = useSecrets(secrets);
  const log = handlerLog(environment.log, secrets, { handler: name, adapter: adapter.name });
  const lines = ratedLog(log);
  const closing = new AbortController();
  const signal =
    environment.signal === undefined ? closing.signal : AbortSignal.any([closing.signal, environment.signal]);
  const background = superviseBackground(signal, log, {
    firstPauseMs: environment.restartAfterMs,
    onChange: environment.onReadiness,
  });
  const metrics = environment.metrics.forHandler(name, secrets);
  let notReady: string | undefined;

  let isEnded = false;
  let isLate = false;
  function late(last: string): void {
    if (isLate) return;
    isLate = true;
    log.warn(
      'a plugin goes on after its handler was closed; end its timers and listeners in close(), or at host.signal',
      {
        last,
      },
    );
  }

  const host: Host = {
    log: logByLevel((level) => (message, fields): void => {
      if (isEnded) late(message);
      else lines[level](message, fields);
    }),
    signal,
    folder,
    clock: environment.clock ?? PROCESS_CLOCK,
    metrics,
    worker: environment.worker ?? { number: 1, count: 1 },
    background: (work, run) => {
      if (isEnded) late(`background ${work}`);
      else background.start(work, run);
    },
    ready: (isReady, why) => {
      if (isEnded) return late(`ready(${isReady})`);
      notReady = isReady ? undefined : (why ?? 'it reports that it is not ready');
      environment.onReadiness?.();
    },
    shared: (part, bytes) => environment.shared.get(name, part, bytes),
  };

  async function end(handler: AnyHandler | undefined): Promise<void> {
    closing.abort(new Error(`handler ${name} is closed`));
    const withinMs = environment.closeWithinMs ?? 5000;
    const endsAtMs = performance.now() + withinMs;
    await background.ended(withinMs);
    // The handler needs time to flush even if background work used all of it.
    await closed(handler, Math.max(withinMs * LEAST_SHARE, endsAtMs - performance.now()), log);
    lines.end();
    isEnded = true;
    metrics.withdraw();
    isClosed();
  }

  const plugin = { adapter: adapter.name, handler: name };
  let own: AnyHandler;
  try {
    own = await runAs(plugin, () =>
      opened(adapter, name, config, host, secrets, environment.openWithinMs ?? 10_000, end),
    );
  } catch (error) {
    await end(undefined);
    throw error;
  }
  const wrong = methodProblem(adapter, own);
  if (wrong !== undefined) {
    await end(own);
    throw new AdapterError('ADAPTER_METHOD_MISSING', `[${adapter.name}/${name}] ${wrong}`);
  }

  const handler = guardedHandler(own, plugin, lines);
  let ending: Promise<void> | undefined;
  return {
    handler,
    readiness() {
      const why = notReady ?? background.failing();
      return { ready: why === undefined, why: why === undefined ? undefined : secrets.text(why) };
    },
    close: () => (ending ??= end(handler)),
  };
}

/** Of `open` that does not end. */
export const openLate = (withinMs: number): string =>
  `not open after ${withinMs} ms: open() waits, or does not end; it must not wait for a backend`;

/** Never rejects; errors are logged. */
async function closed(handler: AnyHandler | undefined, withinMs: number, log: Log): Promise<void> {
  const closing = (async () => {
    await handler?.close?.();
  })().catch((error: unknown) => log.error('closing failed', { error }));
  if (!(await settlesWithin(withinMs, closing)))
    log.warn('close() does not return and is abandoned', { waitedMs: Math.round(withinMs) });
}

/** A handler that opens after the timeout is closed. */
async function opened(
  adapter: Adapter,
  name: string,
  config: unknown,
  host: Host,
  secrets: SecretTexts,
  withinMs: number,
  end: (handler: AnyHandler) => Promise<void>,
): Promise<AnyHandler> {
  const opening = Promise.resolve().then(() => adapter.open(config, host)); // also if open throws synchronously
  const given = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    given.reject(new AdapterError('ADAPTER_OPEN_LATE', `[${adapter.name}/${name}] ${openLate(withinMs)}`));
  }, withinMs);
  const abort = (): void =>
    given.reject(new AdapterError('ADAPTER_OPEN_FAILED', `[${adapter.name}/${name}] opening was aborted`));
  host.signal.addEventListener('abort', abort, { once: true });
  if (host.signal.aborted) abort();
  let isGivenUp = false;
  opening
    .then(
      (handler) => (isGivenUp ? end(handler) : undefined),
      () => undefined,
    )
    .catch(() => undefined);
  try {
    return await Promise.race([opening, given.promise]);
  } catch (error) {
    isGivenUp = true;
    if (error instanceof AdapterError) throw error;
    throw new AdapterError(
      'ADAPTER_OPEN_FAILED',
      secrets.text(`[${adapter.name}/${name}] ${saidBy(error, withInstallAdvice(error))}`),
      { cause: secrets.value(error) },
    );
  } finally {
    clearTimeout(timer);
    host.signal.removeEventListener('abort', abort);
  }
}

function likely(method: string, handler: AnyHandler): string {
  const value = handler[method as keyof AnyHandler];
  if (value !== undefined) return `; its ${method} is ${kindOf(value)}`;
  const others = Object.entries(handler).filter(([, other]) => typeof other === 'function');
  const near = nearest(
    method,
    others.map(([name]) => name),
  );
  return near === undefined ? '' : `; its ${near} is probably that`;
}

function methodProblem(adapter: Adapter, handler: AnyHandler): string | undefined {
  if (typeof handler !== 'object' || handler === null) return 'open() did not return a handler';
  for (const capability of CAPABILITIES) {
    const isServed = adapter.serves[capability] !== undefined;
    for (const method of METHODS[capability]) {
      const isThere = typeof handler[method] === 'function';
      if (isServed && !isThere)
        return `it serves ${capability}, but open() returned no method "${method}"${likely(method, handler)}`;
      if (!isServed && isThere) return `open() returned a method "${method}", but it does not serve ${capability}`;
    }
  }
  return undefined;
}

export function boundLog(log: Log, bound: LogFields): Log {
  return {
    debug: (message, fields) => log.debug(message, { ...bound, ...fields }),
    info: (message, fields) => log.info(message, { ...bound, ...fields }),
    warn: (message, fields) => log.warn(message, { ...bound, ...fields }),
    error: (message, fields) => log.error(message, { ...bound, ...fields }),
  };
}
