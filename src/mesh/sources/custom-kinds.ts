/**
 * Which of some kinds an API server has: they come and go with their definitions.
 * **In**: kinds, an API server, asked again and again. **Out**: calls to watch a kind, in the newest version that the server has, and to
 * forget it.
 * **Fails**: never; a server that cannot be asked is asked again, and everything stays as it is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ReadApiServer, type ServedKind, servedKinds } from '../../kubernetes/index.ts';
import { messageOf } from '../../text/message-of.ts';
import { Backoff, type BackoffOptions } from '../../time/backoff.ts';

export interface CustomKindsOptions<K extends string> {
  readonly server: ReadApiServer;
  /** By kind its versions, the preferred one first. */
  readonly wanted: Readonly<Record<K, readonly string[]>>;
  readonly everyMs?: number | undefined;
  readonly backoff: BackoffOptions | undefined;
  /** Until the signal is aborted. What is known of another version of the kind stays until the first list. */
  readonly watch: (kind: K, served: ServedKind, stop: AbortSignal) => void;
  /** The kind is gone for good. */
  readonly forget: (kind: K) => void;
  /** After each answer. */
  readonly onAnswer?: () => void;
  /** After each time that the server could not be asked. */
  readonly onFailure?: (error: unknown) => void;
}

interface Watched {
  readonly served: ServedKind;
  readonly stop: AbortController;
  /** When the server was first found not to have the kind any more; by the monotonic clock. */
  absentSinceMs: number | undefined;
}

const EVERY_MS = 10_000;
/** A server that has just been started may not know its custom resources yet. */
const ABSENT_FOR_MS = 60_000;

export class CustomKinds<K extends string> {
  readonly #options: CustomKindsOptions<K>;
  readonly #watched = new Map<K, Watched>();
  #isKnown = false;
  #failure: string | undefined;

  constructor(options: CustomKindsOptions<K>) {
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
    const { server, wanted, everyMs = EVERY_MS, onAnswer, onFailure } = this.#options;
    const backoff = new Backoff(this.#options.backoff);
    while (!signal.aborted) {
      let pauseMs = everyMs * (1 + Math.random() / 10);
      try {
        const served = await servedKinds(server, wanted, signal);
        for (const kind of Object.keys(wanted) as K[]) this.#compare(kind, served.get(kind));
        backoff.reset();
        this.#isKnown = true;
        this.#failure = undefined;
        onAnswer?.();
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = backoff.next();
        this.#failure = messageOf(error);
        onFailure?.(error);
      }
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #compare(kind: K, served: ServedKind | undefined): void {
    const { watch, forget } = this.#options;
    const watched = this.#watched.get(kind);
    if (served !== undefined) {
      const isSame = watched !== undefined && watched.served.apiVersion === served.apiVersion;
      if (isSame && !watched.stop.signal.aborted) return;
      watched?.stop.abort();
      const stop = new AbortController();
      this.#watched.set(kind, { served, stop, absentSinceMs: undefined });
      watch(kind, served, stop.signal);
    } else if (watched !== undefined) {
      // With a definition its objects are deleted, and the watch delivers that. Otherwise the server may be wrong for a while.
      watched.stop.abort();
      watched.absentSinceMs ??= performance.now();
      if (performance.now() - watched.absentSinceMs < ABSENT_FOR_MS) return;
      this.#watched.delete(kind);
      forget(kind);
    }
  }
}
