import { createHash } from 'node:crypto';
import type { DiscoveryRequest } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { encodePlain } from './encode.ts';
import type { Refusal, Resource } from './resource.ts';
import { type Subscription, refusalOf, type View } from './subscription.ts';
import { isComplete } from './type-urls.ts';

const ALL = '*';

/** A subscription whose responses of listeners and clusters hold the complete set, of other types those that changed. */
export class StateOfTheWorld implements Subscription {
  readonly typeUrl: string;
  /** `undefined`: all. */
  #names: ReadonlySet<string> | undefined;
  #hasNamed = false;
  /** The versions that the proxy was sent, accepted or not, so that a refused one is not sent again. */
  #known: ReadonlyMap<string, string> = new Map();
  readonly #repeated = new Set<string>();
  /** The proxy waits for an answer to its subscription. */
  #isDue = false;
  #count = 0;
  #nonce = '';
  #last: readonly Resource[] = [];
  sent: string | undefined;
  accepted: string | undefined;
  refusal: Refusal | undefined;
  isSettled = true;
  hasOwn = false;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
    this.#names = isComplete(typeUrl) ? undefined : new Set();
  }

  receive({ resourceNames, responseNonce, errorDetail, versionInfo }: DiscoveryRequest): void {
    if (responseNonce !== '' && responseNonce !== this.#nonce) return; // to an earlier response
    const isFirst = responseNonce === '';
    if (isFirst) this.hasOwn = versionInfo !== '';
    else {
      this.isSettled = true;
      if (errorDetail === undefined) {
        this.accepted = this.sent;
        this.refusal = undefined;
      } else this.refusal = refusalOf(this.typeUrl, errorDetail.message, this.#last);
      this.#last = [];
    }
    const before = this.#names;
    this.#subscribe(resourceNames);
    if (isFirst || this.#adds(before)) this.#isDue = true;
  }

  /** Naming nothing subscribes to all listeners and clusters, as long as nothing was ever named. */
  #subscribe(names: readonly string[]): void {
    if (names.length > 0) this.#hasNamed = true;
    const isAll = names.includes(ALL) || (!this.#hasNamed && isComplete(this.typeUrl));
    this.#names = isAll ? undefined : new Set(names);
    if (!isAll) this.#known = new Map([...this.#known].filter(([name]) => this.#names?.has(name)));
  }

  #adds(before: ReadonlySet<string> | undefined): boolean {
    if (before === undefined) return false;
    return this.#names === undefined || [...this.#names].some((name) => !before.has(name));
  }

  repeat(names: Iterable<string>): void {
    for (const name of names) this.#repeated.add(name);
  }

  response(view: View): Uint8Array | undefined {
    const wanted = this.#wanted(view);
    const changed = wanted.filter(
      (resource) => this.#known.get(resource.name) !== resource.version || this.#repeated.has(resource.name),
    );
    const isWhole = isComplete(this.typeUrl);
    const isRemoved = isWhole && hasOther(this.#known, wanted);
    // A complete set is due even if it is empty; a name that does not exist is answered when it does.
    const isDue = this.#isDue && isWhole;
    this.#isDue = false;
    this.#repeated.clear();
    if (changed.length === 0 && !isRemoved && !isDue) return undefined;
    this.#known = new Map([
      ...(isWhole ? [] : this.#known),
      ...wanted.map(({ name, version }) => [name, version] as const),
    ]);
    this.#last = changed;
    this.#nonce = String(++this.#count);
    this.sent = versionOf(wanted);
    this.isSettled = false;
    return encodePlain({ typeUrl: this.typeUrl, version: this.sent, nonce: this.#nonce }, isWhole ? wanted : changed);
  }

  #wanted(view: View): readonly Resource[] {
    if (this.#names === undefined) return [...view.resources.values()];
    return [...this.#names].flatMap((name) => view.resources.get(name) ?? view.absent(name) ?? []);
  }
}

function hasOther(known: ReadonlyMap<string, string>, wanted: readonly Resource[]): boolean {
  const names = new Set(wanted.map(({ name }) => name));
  return [...known.keys()].some((name) => !names.has(name));
}

/** A digest, so that a restarted control plane gives the same version to the same content. */
export function versionOf(resources: readonly Resource[]): string {
  const hash = createHash('sha256');
  for (const { name, version } of resources) hash.update(`${name.length} ${name}${version.length} ${version}`);
  return hash.digest('hex').slice(0, 16);
}
