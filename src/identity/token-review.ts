/** Tokens of service accounts, checked by the API server that made them. */
import type { Log } from '../adapters/contract.ts';
import { OutageLog } from '../adapters/outage-log.ts';
import { type ReadApiServer, TokenReviews } from '../kubernetes/index.ts';
import { messageOf } from '../text/message-of.ts';
import { GrpcError, Status } from '../transport/index.ts';
import { accountOf, type TokenProof, type TokenVerifier } from './token-accounts.ts';

export interface TokenReviewOptions {
  readonly server: ReadApiServer;
  readonly audience: string;
  readonly log: Log;
  readonly answerWithinMs?: number;
}

export class TokenReviewVerifier implements TokenVerifier {
  readonly #reviews: TokenReviews;
  readonly #outage: OutageLog;

  constructor({ server, audience, log, answerWithinMs }: TokenReviewOptions) {
    this.#reviews = new TokenReviews({
      server,
      audiences: [audience],
      ...(answerWithinMs === undefined ? {} : { answerWithinMs }),
    });
    this.#outage = new OutageLog(log, {});
  }

  async verify(token: string, signal: AbortSignal): Promise<TokenProof> {
    try {
      const reviewed = await this.#reviews.review(token, signal);
      this.#outage.succeeded('the API server reviews tokens again');
      return 'user' in reviewed ? accountOf(reviewed.user) : reviewed;
    } catch (error) {
      if (signal.aborted) throw error;
      const why = messageOf(error);
      this.#outage.failed('the API server does not review tokens, so callers with tokens are not served', why);
      throw new GrpcError(Status.UNAVAILABLE, `tokens cannot be checked: ${why}`, { cause: error });
    }
  }

  close(): Promise<void> {
    return this.#reviews.close();
  }
}
