/**
 * A connection to an API server that many requests share. Its credentials are read again from time to time, since they are rotated on disk.
 */
import { ApiConnection, ApiError } from './api-connection.ts';
import type { ReadApiServer } from './api-server.ts';

export interface KeptConnectionOptions {
  readonly server: ReadApiServer;
  /** Requests at a time; more wait. */
  readonly maxSockets: number;
  readonly answerWithinMs: number;
  /** Credentials are read again after this time. */
  readonly keepMs?: number;
}

interface Kept {
  readonly opened: Promise<ApiConnection>;
  readonly untilMs: number;
}

const KEEP_MS = 60_000;

export class KeptConnection {
  readonly #options: KeptConnectionOptions;
  readonly #closing = new Set<NodeJS.Timeout>();
  #kept: Kept | undefined;

  constructor(options: KeptConnectionOptions) {
    this.#options = options;
  }

  /** Asks once more with credentials that are read anew if the server does not accept ours (401): a token may have ended. */
  async use<T>(ask: (connection: ApiConnection) => Promise<T>): Promise<T> {
    const kept = this.#current();
    try {
      return await ask(await kept.opened);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      if (this.#kept === kept) this.#retire();
      return ask(await this.#current().opened);
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#closing) clearTimeout(timer);
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) await closed(kept.opened);
  }

  #current(): Kept {
    if (this.#kept !== undefined && this.#kept.untilMs < performance.now()) this.#retire();
    if (this.#kept !== undefined) return this.#kept;
    const { server, maxSockets, keepMs = KEEP_MS } = this.#options;
    const opened = server().then((read) => new ApiConnection(read, maxSockets));
    const kept = { opened, untilMs: performance.now() + keepMs };
    opened.catch(() => {
      if (this.#kept === kept) this.#kept = undefined;
    });
    return (this.#kept = kept);
  }

  /** Requests that are under way end on it within their timeout. */
  #retire(): void {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined) return;
    const timer = setTimeout(() => {
      this.#closing.delete(timer);
      void closed(kept.opened);
    }, 2 * this.#options.answerWithinMs).unref();
    this.#closing.add(timer);
  }
}

const closed = (opened: Promise<ApiConnection>): Promise<void> =>
  opened.then(
    (connection) => connection.close(),
    () => undefined,
  );
