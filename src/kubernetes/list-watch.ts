/**
 * One resource, listed and watched until the signal is aborted. It follows Kubernetes' API concepts
 * (kubernetes.io/docs/reference/using-api/api-concepts): a list in pages, then a watch from its resourceVersion; each event and bookmark
 * moves that version on; 410 means that the version is too old, and everything is listed again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../text/message-of.ts';
import { Throttle } from '../time/throttle.ts';
import { ApiConnection, ApiError, isExpired } from './api-connection.ts';
import type { ReadApiServer } from './api-server.ts';
import { Backoff, type BackoffOptions } from '../time/backoff.ts';
import { SinkError } from './in-slices.ts';
import { listAll } from './list.ts';
import type { Resource, ResourceSink } from './objects.ts';
import { LostEvent, watchFrom } from './watch.ts';

export interface ListWatchOptions {
  readonly server: ReadApiServer;
  readonly path: Resource['path'];
  readonly query?: Resource['query'];
  readonly metadataOnly?: boolean;
  readonly sink: ResourceSink;
  readonly log: Log;
  readonly meters?: Meters;
  /** A monotonic clock. */
  readonly nowMs: () => number;
  readonly pageSize?: number;
  /** A watch ends after this time, plus up to as much again, so that many watches do not end together. */
  readonly watchForMs?: number;
  /** A watch without an event or a bookmark for this long may be hung, and is opened again. */
  readonly silentAfterMs?: number;
  readonly maxObjectBytes?: number;
  readonly backoff?: BackoffOptions;
}

interface Log {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

/** Called once for each. */
export interface Meters {
  readonly list?: () => void;
  readonly watch?: () => void;
  readonly event?: () => void;
  readonly silence?: () => void;
  readonly failure?: () => void;
  readonly oversized?: () => void;
}

const PAGE_SIZE = 500;
const WATCH_FOR_MS = 300_000;
/** The server sends a bookmark about once a minute, the first one of a watch after two. */
const SILENT_AFTER_MS = 150_000;
/** etcd takes objects of up to 1.5 MB, in a denser form than JSON. */
const MAX_OBJECT_BYTES = 8 * 1024 * 1024;
/** A watch that ends earlier, and without an event, counts as failed. */
const SHORT_WATCH_MS = 1000;

export class ListWatch {
  readonly #options: ListWatchOptions;
  readonly #resource: Resource;
  readonly #backoff: Backoff;
  readonly #failureLog: Throttle;
  #isFailureLogged = false;
  /** The last failure since the last line; of an outage that is not logged it stays when that is over. */
  #unlogged: { readonly error: unknown; readonly pauseMs: number } | undefined;
  #version: string | undefined;
  #isSynced = false;
  #heardAtMs: number;
  #failure: string | undefined;
  readonly #begun = Promise.withResolvers<void>();

  constructor(options: ListWatchOptions) {
    const { path, query = {}, metadataOnly = false, sink, maxObjectBytes = MAX_OBJECT_BYTES, log, meters } = options;
    this.#options = options;
    this.#backoff = new Backoff(options.backoff);
    this.#failureLog = new Throttle({ nowMs: options.nowMs, onRest: () => this.#logUnlogged() });
    this.#heardAtMs = options.nowMs();
    const oversizedLog = new Throttle({ nowMs: options.nowMs });
    const onOversized = (): void => {
      meters?.oversized?.();
      if (oversizedLog.admit() > 0)
        log.warn('an object of the Kubernetes API is too large and was skipped', { path, maxObjectBytes });
    };
    this.#resource = { path, query, metadataOnly, sink, maxObjectBytes, onOversized };
  }

  /** Settles when the first list is complete, or something has failed. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Whether a list has been complete, so that an unknown object does not exist. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** By `nowMs`: when the API server last sent anything. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Why it can neither list nor watch at the moment. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Resolves when the signal is aborted. Rejects only if the sink throws. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const connection = new ApiConnection(await this.#options.server());
        try {
          this.#version ??= await this.#list(connection, signal);
          await this.#watch(connection, this.#version, signal);
        } finally {
          connection.close();
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SinkError) throw error.cause;
        const isTooOld = isExpired(error) && this.#version !== undefined;
        if (isTooOld || error instanceof LostEvent) this.#version = undefined;
        await this.#pause(error, signal, isTooOld);
      }
    }
  }

  async #list(connection: ApiConnection, signal: AbortSignal): Promise<string> {
    this.#options.meters?.list?.();
    const version = await listAll(connection, this.#resource, {
      pageSize: this.#options.pageSize ?? PAGE_SIZE,
      signal,
      onPage: () => this.#heard(),
      pause: (error) => this.#pause(error, signal),
    });
    this.#isSynced = true;
    this.#begun.resolve();
    return version;
  }

  async #watch(connection: ApiConnection, version: string, signal: AbortSignal): Promise<void> {
    const { nowMs, meters, watchForMs = WATCH_FOR_MS, silentAfterMs = SILENT_AFTER_MS } = this.#options;
    let openedAtMs = 0;
    const { events, isSilent } = await watchFrom(connection, this.#resource, {
      version,
      forMs: watchForMs * (1 + Math.random()),
      silentAfterMs,
      signal,
      onOpen: () => {
        openedAtMs = nowMs();
        meters?.watch?.();
        this.#heard();
      },
      onEvent: (next, type) => {
        this.#version = next;
        if (type !== 'BOOKMARK') meters?.event?.();
        this.#heard();
        this.#backoff.reset();
      },
    });
    if (isSilent) {
      meters?.silence?.();
      // Of a quiet resource; or the server was restored from a backup, and waits for its versions to reach ours.
      if (events === 0) this.#version = undefined;
    } else if (events === 0 && nowMs() - openedAtMs < SHORT_WATCH_MS)
      throw new Error('the server ended the watch at once');
    this.#backoff.reset();
  }

  #heard(): void {
    this.#heardAtMs = this.#options.nowMs();
    this.#failure = undefined;
    if (this.#isFailureLogged) this.#logRecovery();
  }

  /** `isExpected`: a version that is too old is not a failure. */
  async #pause(error: unknown, signal: AbortSignal, isExpected = false): Promise<void> {
    const pauseMs = Math.round(this.#backoff.next(error instanceof ApiError ? error.retryAfterMs : 0));
    if (!isExpected) {
      this.#options.meters?.failure?.();
      this.#failure = messageOf(error);
      this.#begun.resolve();
      this.#unlogged = { error, pauseMs };
      if (this.#failureLog.admit() > 0) this.#logFailure(error, pauseMs);
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }

  #logFailure(error: unknown, pauseMs: number): void {
    this.#isFailureLogged = true;
    this.#unlogged = undefined;
    const { path } = this.#resource;
    this.#options.log.warn('the Kubernetes API cannot be watched; the last known state stays in use', {
      path,
      error,
      pauseMs,
    });
  }

  /** A minute after a line, of what failed since. */
  #logUnlogged(): void {
    if (this.#unlogged === undefined) return;
    this.#logFailure(this.#unlogged.error, this.#unlogged.pauseMs);
    if (this.#failure === undefined) this.#logRecovery();
  }

  #logRecovery(): void {
    this.#isFailureLogged = false;
    this.#unlogged = undefined;
    this.#options.log.info('the Kubernetes API answers again', { path: this.#resource.path });
  }
}
