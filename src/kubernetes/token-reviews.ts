/**
 * Asks an API server to whom a token belongs (authentication.k8s.io/v1 TokenReview).
 * **In**: a token. **Out**: the user that it proves to any of the audiences, or why it proves none.
 * **Fails**: with an Error while the server is away, hung, or does not let us ask.
 */
import type { Body } from './api-connection.ts';
import type { ReadApiServer } from './api-server.ts';
import { KeptConnection } from './kept-connection.ts';

export type ReviewedToken = { readonly user: string } | { readonly refused: string };

export interface TokenReviewsOptions {
  readonly server: ReadApiServer;
  readonly audiences: readonly string[];
  readonly answerWithinMs?: number;
  /** Our own credentials are read again after this time, since they are rotated on disk. */
  readonly keepMs?: number;
}

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews';
const ANSWER_WITHIN_MS = 5000;
/** Reviews at a time; the API server limits its clients too. */
const MAX_SOCKETS = 16;
const MAX_BYTES = 256 * 1024;

export class TokenReviews {
  readonly #connection: KeptConnection;
  readonly #audiences: readonly string[];
  readonly #answerWithinMs: number;

  constructor({ server, audiences, answerWithinMs = ANSWER_WITHIN_MS, keepMs }: TokenReviewsOptions) {
    const keep = keepMs === undefined ? {} : { keepMs };
    this.#connection = new KeptConnection({ server, maxSockets: MAX_SOCKETS, answerWithinMs, ...keep });
    this.#audiences = audiences;
    this.#answerWithinMs = answerWithinMs;
  }

  async review(token: string, signal: AbortSignal): Promise<ReviewedToken> {
    const answerWithinMs = this.#answerWithinMs;
    const audiences = this.#audiences;
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
    return this.#connection.use(async (connection) => {
      // With the time that it waits for a free connection.
      const within = AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]);
      try {
        const times = { answerWithinMs, silentAfterMs: answerWithinMs };
        const body = await connection.post(PATH, review, { accept: 'application/json', signal: within, ...times });
        return userOf(await jsonOf(body), audiences);
      } catch (error) {
        if (within.aborted && !signal.aborted)
          throw new Error(`the API server has not reviewed a token within ${answerWithinMs} ms`, { cause: error });
        throw error;
      }
    });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

async function jsonOf(body: Body): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`the review of a token is longer than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

interface Status {
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly user?: { readonly username?: string };
  readonly audiences?: readonly string[];
}

function userOf(review: unknown, audiences: readonly string[]): ReviewedToken {
  const { status = {} } = (review ?? {}) as { readonly status?: Status };
  if (status.authenticated !== true) return { refused: status.error ?? 'the API server does not know it' };
  // A server that knows no audiences answers without them, and has not checked them.
  if (status.audiences?.some((one) => audiences.includes(one)) !== true)
    return { refused: `it is not for the audience ${audiences.join(' or ')}` };
  return { user: status.user?.username ?? '' };
}
