/** Why a token is not accepted: an answer, not a failure. */

/** RFC 6750 section 3.1; and `wrong_audience`, which its clients see as invalid_token. */
export type Problem = 'invalid_request' | 'invalid_token' | 'wrong_audience';

export class Refused {
  readonly problem: Problem;
  /** Sent to the client as error_description: printable ASCII without quotes, and nothing of the token. */
  readonly description: string;
  /** For operators; at most what {@link shown} lets pass of the token. */
  readonly reason: string;

  constructor(problem: Problem, description: string, reason = description) {
    this.problem = problem;
    this.description = description;
    this.reason = reason;
  }
}

/** Text that a stranger chose, for messages: short and on one line. */
export const shown = (text: unknown): string =>
  typeof text === 'string'
    ? JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text)
    : `a ${typeof text}`;
const MAX_SHOWN = 64;
