/**
 * Checks that X-Forwarded-For has as many entries as `settings.trustedHops` needs.
 * **In**: the counter of requests with too few. **Out**: at most one warning per policy. **Fails**: never.
 *
 * The counter is polled, so that a call pays nothing for it.
 */
import type { Policy } from '../../core/rules/policy.ts';
import type { OwnLog } from '../../log/log.ts';

const POLL_EVERY_MS = 5000;
/** Fewer may be probes that bypass the proxies. */
const ENOUGH_REQUESTS = 20;

type PolicyView = Pick<Policy, 'revision'> & {
  readonly attributes: { readonly settings: Pick<Policy['attributes']['settings'], 'trustedHops'> };
};

export interface ForwardedForOptions {
  readonly log: Pick<OwnLog, 'warn'>;
  readonly policy: () => PolicyView | undefined;
  /** Requests with too few entries since this thread started. */
  readonly shortOnes: () => number;
}

export class ForwardedForCheck implements Disposable {
  readonly #options: ForwardedForOptions;
  readonly #timer: NodeJS.Timeout;
  #revision: string | undefined;
  #before = 0;
  #hasWarned = false;

  constructor(options: ForwardedForOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.poll(), POLL_EVERY_MS).unref();
  }

  poll(): void {
    const { log, policy, shortOnes } = this.#options;
    const { revision, attributes } = policy() ?? {};
    const now = shortOnes();
    if (revision !== this.#revision) {
      this.#revision = revision;
      this.#before = now;
      this.#hasWarned = false;
    }
    const requests = now - this.#before;
    const trustedHops = attributes?.settings.trustedHops;
    if (this.#hasWarned || requests < ENOUGH_REQUESTS || trustedHops === undefined) return;
    this.#hasWarned = true;
    log.warn(
      'X-Forwarded-For has fewer entries than settings.trustedHops needs, so origin.ip is the peer of Envoy; ' +
        'set trustedHops to the number of proxies in front of Envoy, as for xff_num_trusted_hops',
      { trustedHops, needed: trustedHops + 1, requests, revision },
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
