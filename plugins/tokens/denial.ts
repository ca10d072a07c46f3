/** How a check refuses: the gRPC code, which becomes the HTTP status, and the challenge for the client (RFC 6750 section 3). */
import { deny, type Deny, PERMISSION_DENIED, UNAUTHENTICATED } from 'sluice/plugin';
import type { Refused } from './refused.ts';

export interface DenialOptions {
  readonly realm: string | undefined;
  readonly wrongAudience: 'unauthenticated' | 'forbidden';
}

export class Denials {
  readonly #realm: readonly string[];
  readonly #isForbidden: boolean;

  constructor({ realm, wrongAudience }: DenialOptions) {
    this.#realm = realm === undefined ? [] : [`realm="${realm}"`];
    this.#isForbidden = wrongAudience === 'forbidden';
  }

  /** Without an error code: the client sent no token. */
  missing(reason: string): Deny {
    return this.#deny(UNAUTHENTICATED, reason, []);
  }

  refused({ problem, description, reason }: Refused): Deny {
    const code = problem === 'wrong_audience' && this.#isForbidden ? PERMISSION_DENIED : UNAUTHENTICATED;
    const error = problem === 'invalid_request' ? problem : 'invalid_token';
    return this.#deny(code, reason, [`error="${error}"`, `error_description="${description}"`]);
  }

  /** `scopes`: those that the rule asks for; the config has checked them. */
  insufficient(scopes: readonly string[], reason: string): Deny {
    return this.#deny(PERMISSION_DENIED, reason, ['error="insufficient_scope"', `scope="${scopes.join(' ')}"`]);
  }

  #deny(code: number, reason: string, parts: readonly string[]): Deny {
    const challenge = ['Bearer', [...this.#realm, ...parts].join(', ')].join(' ').trim();
    return deny(code, reason, { headers: { 'www-authenticate': challenge } });
  }
}
