/**
 * Writes objects into an API server by server-side apply: one request creates the object, or sets the fields that are given and leaves all
 * others, so there is no version to conflict with.
 * **In**: the path of an object, its fields. **Out**: nothing. **Fails**: with an ApiError, or an Error while the server is away or hung.
 */
import type { ReadApiServer } from './api-server.ts';
import { KeptConnection } from './kept-connection.ts';

export interface ApplierOptions {
  readonly server: ReadApiServer;
  /** Recorded by the server as the owner of the fields. It takes over those that another one owns. */
  readonly fieldManager: string;
  /** Requests at a time; more wait. */
  readonly maxSockets: number;
  readonly answerWithinMs?: number;
}

const ANSWER_WITHIN_MS = 10_000;

export class Applier {
  readonly #connection: KeptConnection;
  readonly #query: Readonly<Record<string, string>>;
  readonly #answerWithinMs: number;

  constructor({ server, fieldManager, maxSockets, answerWithinMs = ANSWER_WITHIN_MS }: ApplierOptions) {
    this.#connection = new KeptConnection({ server, maxSockets, answerWithinMs });
    this.#query = { fieldManager, force: 'true' };
    this.#answerWithinMs = answerWithinMs;
  }

  /** `object`: with apiVersion, kind and name. */
  async apply(path: string, object: object, signal: AbortSignal): Promise<void> {
    await this.#connection.use(async (connection) => {
      const body = await connection.apply(path, object, {
        query: this.#query,
        accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json',
        signal,
        answerWithinMs: this.#answerWithinMs,
        silentAfterMs: this.#answerWithinMs,
      });
      // Read to its end, so that the connection is used again.
      for await (const _ of body);
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
