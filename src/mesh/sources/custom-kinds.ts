/**
 * Which of Istio's kinds an API server has: they come and go with their definitions.
 * **In**: an API server, asked again and again. **Out**: calls to watch a kind, in the newest version that the server has, and to forget
 * it.
 * **Fails**: never; a server that cannot be asked is asked again, and everything stays as it is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ReadApiServer, type ServedKind, servedKinds } from '../../kubernetes/index.ts';
import { messageOf } from '../../text/message-of.ts';
import { Backoff, type BackoffOptions } from '../../time/backoff.ts';
import { type Kind, VERSIONS } from '../rules/kinds.ts';
import type { Log, OutageLog } from './outage-log.ts';

export interface CustomKindsOptions {
  readonly server: ReadApiServer;
  readonly everyMs?: number | undefined;
  readonly backoff: BackoffOptions | undefined;
  readonly log: Log;
  readonly outages: OutageLog;
  /** Until the signal is aborted. What is known of another version of the kind stays until the first list. */
  readonly watch: (kind: Kind, served: ServedKind, stop: AbortSignal) => void;
  /** The kind is gone for good. */
  readonly forget: (kind: Kind) => void;
  /** After each answer. */
  readonly onAnswer: () => void;
  /** After each time that the server could not be asked. */
  readonly onFailure: () => void;
}

interface Watched {
  readonly served: ServedKind;
  readonly stop: AbortController;
  /** When the server was first found not to have the kind any more; by the monotonic clock. */
  absentSinceMs: number | undefined;
}

const CUSTOM = Object.fromEntries(
  Object.entries(VERSIONS).filter(([, versions]) => versions.every((version) => version.includes('.istio.io/'))),
);
const EVERY_MS = 10_000;
/** A server that has just been started may not know its custom resources yet. */
const ABSENT_FOR_MS = 60_000;
const PATH = '/apis';

export class CustomKinds {
  readonly #options: CustomKindsOptions;
  readonly #watched = new Map<Kind, Watched>();
  #isKnown = false;
  #failure: string | undefined;

  constructor(options: CustomKindsOptions) {
    this.#options = options;
  }

  /** Whether the server has answered once. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Why it could not be asked the last time. */
  get failure(): string | undefined {
    return this.#failure;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { server, everyMs = EVERY_MS, outages, onAnswer, onFailure } = this.#options;
    const backoff = new Backoff(this.#options.backoff);
    while (!signal.aborted) {
      let pauseMs = everyMs * (1 + Math.random() / 10);
      try {
        const served = await servedKinds(server, CUSTOM, signal);
        for (const kind of Object.keys(CUSTOM) as Kind[]) this.#compare(kind, served.get(kind));
        backoff.reset();
        this.#isKnown = true;
        this.#failure = undefined;
        outages.answers(PATH);
        onAnswer();
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = backoff.next();
        this.#failure = messageOf(error);
        outages.failed(PATH, error);
        onFailure();
      }
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #compare(kind: Kind, served: ServedKind | undefined): void {
    const { log, watch, forget } = this.#options;
    const watched = this.#watched.get(kind);
    if (served !== undefined) {
      const isSame = watched !== undefined && watched.served.apiVersion === served.apiVersion;
      if (isSame && !watched.stop.signal.aborted) return;
      watched?.stop.abort();
      if (this.#isKnown) log.info('the API server has a kind of the mesh', { kind, ...served });
      const stop = new AbortController();
      this.#watched.set(kind, { served, stop, absentSinceMs: undefined });
      watch(kind, served, stop.signal);
    } else if (watched !== undefined) {
      // With a definition its objects are deleted, and the watch delivers that. Otherwise the server may be wrong for a while.
      watched.stop.abort();
      watched.absentSinceMs ??= performance.now();
      if (performance.now() - watched.absentSinceMs < ABSENT_FOR_MS) return;
      log.warn('the API server no longer has a kind of the mesh; its objects are gone', { kind });
      this.#watched.delete(kind);
      forget(kind);
    }
  }
}
