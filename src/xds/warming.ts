/**
 * Clusters that a proxy has not accepted in time, without a word: Envoy answers when they are warm.
 * **In**: their names, and what the proxy asks for. **Out**: each with its likely cause. **Fails**: never.
 */
import { FieldScan } from '../protobuf/scan.ts';
import type { Resource, Resources } from './resource.ts';
import { NOTHING, type Subscription, type Unanswered } from './subscription.ts';
import { CLUSTER, ENDPOINTS, SECRET } from './type-urls.ts';

export interface Warming extends Pick<Resource, 'name' | 'origin'> {
  /** For the operator. */
  readonly why: string;
}

interface Seen {
  readonly shown: ReadonlyMap<string, Resources>;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
}

/** Of one stream. */
export class UnacceptedClusters {
  readonly #seen: Seen;
  readonly #acceptMs: number;
  readonly #onLate: (clusters: readonly Warming[]) => void;
  #watched: Unanswered | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `onLate`: once for each response that is not answered within `acceptMs`. */
  constructor(seen: Seen, acceptMs: number, onLate: (clusters: readonly Warming[]) => void) {
    this.#seen = seen;
    this.#acceptMs = acceptMs;
    this.#onLate = onLate;
  }

  get #open(): Unanswered | undefined {
    return this.#seen.subscriptions.get(CLUSTER)?.unanswered;
  }

  /** Those that it has had long enough. */
  get clusters(): readonly Warming[] {
    const { sinceMs = Infinity } = this.#open ?? {};
    return performance.now() - sinceMs < this.#acceptMs ? [] : this.unanswered;
  }

  /** Those that it has not answered. A push that waits no longer counts its time from before they were sent. */
  get unanswered(): readonly Warming[] {
    const now = this.#seen.shown.get(CLUSTER) ?? NOTHING;
    return warmingOf(this.#open?.resources.filter(({ name }) => now.has(name)) ?? [], this.#seen);
  }

  /** A response of clusters was made. */
  sent(): void {
    const open = this.#open;
    if (open === this.#watched) return;
    this.#watched = open;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const { clusters } = this;
      if (this.#open === open && clusters.length > 0) this.#onLate(clusters);
    }, this.#acceptMs + 1).unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Those with a known cause, if there are any; otherwise all. */
function warmingOf(clusters: readonly Resource[], seen: Seen): readonly Warming[] {
  const lacking = lackingSecrets(seen);
  const known = clusters.flatMap((one): Warming[] => {
    const why = causeOf(one, lacking, seen);
    return why === undefined ? [] : [{ name: one.name, origin: one.origin, why }];
  });
  if (known.length > 0) return known;
  return clusters.map(({ name, origin }) => ({ name, origin, why: UNKNOWN }));
}

const UNKNOWN =
  'perhaps it waits for a secret of the agent of the proxy, or Envoy could not make it, which its log says; ' +
  'Envoy is stuck then until it is restarted';

function causeOf(
  { name, value }: Resource,
  lacking: readonly string[],
  { shown, subscriptions }: Seen,
): string | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const secret = lacking.find((one) => bytes.includes(one));
  if (secret !== undefined)
    return `it waits for the secret ${secret}, which the control plane does not have for this proxy`;
  if (shown.get(ENDPOINTS)?.has(name) === true && subscriptions.get(ENDPOINTS)?.asksFor(name) === false)
    return 'Envoy asks for no endpoints of it, so it could not make the cluster; its log says why';
  const { isOfDns, isChecked } = kindOf(value);
  if (isOfDns) return 'it waits for the addresses of its host; DNS does not answer the proxy';
  if (isChecked) return 'it waits for the first check of health of its endpoints';
  return undefined;
}

/** Of envoy.config.cluster.v3.Cluster. */
const FIELD = { type: 2, healthChecks: 8 };
const DNS_TYPES: ReadonlySet<number> = new Set([1, 2]);

function kindOf(value: Uint8Array): { readonly isOfDns: boolean; readonly isChecked: boolean } {
  const kind = { isOfDns: false, isChecked: false };
  const fields = new FieldScan(value, 0, value.length);
  while (fields.next() !== 0) {
    if (fields.field === FIELD.type) kind.isOfDns = DNS_TYPES.has(fields.value);
    if (fields.field === FIELD.healthChecks) kind.isChecked = true;
  }
  return kind;
}

/** Names of secrets that the proxy asks for, and that are not there. */
function lackingSecrets({ shown, subscriptions }: Seen): readonly string[] {
  const secrets = shown.get(SECRET) ?? NOTHING;
  return [...(subscriptions.get(SECRET)?.named ?? [])].filter((name) => !secrets.has(name));
}
