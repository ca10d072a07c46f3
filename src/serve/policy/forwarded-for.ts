/**
 * Whether X-Forwarded-For is as `settings.trustedHops` says.
 * **In**: what reading it has counted. **Out**: one warning a policy where it has too few entries. **Fails**: never.
 *
 * Nothing is looked at per call: the counts are looked at now and then.
 */
import type { Policy } from '../../core/rules/policy.ts';
import type { OwnLog } from '../../log/log.ts';

const LOOK_EVERY_MS = 5000;
/** A few may be probes that come another way. */
const ENOUGH = 20;

type PolicyView = Pick<Policy, 'revision'> & {
  readonly attributes: { readonly settings: Pick<Policy['attributes']['settings'], 'trustedHops'> };
};

export interface ForwardedForOptions {
  readonly log: Pick<OwnLog, 'warn'>;
  readonly policy: () => PolicyView | undefined;
  /** How many requests had too few entries, since this thread began. */
  readonly shortOnes: () => number;
}

export class ForwardedForCheck implements Disposable {
  readonly #options: ForwardedForOptions;
  readonly #timer: NodeJS.Timeout;
  #revision: string | undefined;
  #before = 0;
  #isSaid = false;

  constructor(options: ForwardedForOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref();
  }

  look(): void {
    const { log, policy, shortOnes } = this.#options;
    const { revision, attributes } = policy() ?? {};
    const now = shortOnes();
    if (revision !== this.#revision) {
      this.#revision = revision;
      this.#before = now;
      this.#isSaid = false;
    }
    const requests = now - this.#before;
    const trustedHops = attributes?.settings.trustedHops;
    if (this.#isSaid || requests < ENOUGH || trustedHops === undefined) return;
    this.#isSaid = true;
    log.warn(
      'X-Forwarded-For has fewer entries than settings.trustedHops needs, so origin.ip is the peer of Envoy: set it to the number of proxies in front of Envoy, as xff_num_trusted_hops',
      { trustedHops, needed: trustedHops + 1, requests, revision },
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
