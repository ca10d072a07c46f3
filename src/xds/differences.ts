import type { DeltaDiscoveryRequest } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { encodeDelta } from './encode.ts';
import type { Refusal, Resource } from './resource.ts';
import { versionOf } from './state-of-the-world.ts';
import { type Subscription, refusalOf, type View } from './subscription.ts';
import { isComplete } from './type-urls.ts';

const ALL = '*';

/** A subscription whose responses hold what changed and what is gone (delta). */
export class Differences implements Subscription {
  readonly typeUrl: string;
  #isAll = false;
  readonly #names = new Set<string>();
  /** The versions that the proxy has, or was sent and refused. */
  readonly #known = new Map<string, string>();
  /** Names that must be answered, changed or not. */
  readonly #due = new Set<string>();
  /** The first subscription to all is answered even if there is nothing. */
  #isFirstDue = false;
  #isFirst = true;
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
  }

  /** A subscription is honoured whatever its nonce is. */
  receive(request: DeltaDiscoveryRequest): void {
    const { responseNonce, errorDetail, resourceNamesSubscribe, resourceNamesUnsubscribe } = request;
    if (responseNonce !== '' && responseNonce === this.#nonce) {
      this.isSettled = true;
      if (errorDetail === undefined) {
        this.accepted = this.sent;
        this.refusal = undefined;
      } else this.refusal = refusalOf(this.typeUrl, errorDetail.message, this.#last);
      this.#last = [];
    }
    const isFirst = this.#isFirst;
    if (isFirst) this.#begin(request);
    for (const name of resourceNamesSubscribe) {
      if (name === ALL) this.#isAll = true;
      else this.#names.add(name);
      // After a reconnect the proxy says which versions it has.
      if (name !== ALL && !(isFirst && this.#known.has(name))) this.#due.add(name);
    }
    for (const name of resourceNamesUnsubscribe) {
      if (name === ALL) this.#isAll = false;
      this.#names.delete(name);
      if (this.#isAll) this.#due.add(name);
      else this.#known.delete(name);
    }
  }

  #begin({ resourceNamesSubscribe, initialResourceVersions }: DeltaDiscoveryRequest): void {
    this.#isFirst = false;
    this.#isAll = isComplete(this.typeUrl) && resourceNamesSubscribe.length === 0;
    this.#isFirstDue = this.#isAll || resourceNamesSubscribe.includes(ALL);
    for (const [name, version] of Object.entries(initialResourceVersions)) this.#known.set(name, version);
    this.hasOwn = this.#known.size > 0;
  }

  repeat(names: Iterable<string>): void {
    for (const name of names) if (this.#isAll || this.#names.has(name)) this.#due.add(name);
  }

  response(view: View): Uint8Array | undefined {
    const wanted = this.#wanted(view);
    const changed = [...wanted.values()].filter(
      ({ name, version }) => this.#known.get(name) !== version || this.#due.has(name),
    );
    const gone = [...new Set([...this.#known.keys(), ...this.#due])].filter((name) => !wanted.has(name));
    const removed = view.keepsOld ? gone.filter((name) => this.#due.has(name)) : gone;
    const isDue = this.#isFirstDue;
    this.#isFirstDue = false;
    this.#due.clear();
    if (changed.length === 0 && removed.length === 0 && !isDue) return undefined;
    for (const { name, version } of changed) this.#known.set(name, version);
    for (const name of removed) this.#known.delete(name);
    this.#last = changed;
    this.#nonce = String(++this.#count);
    this.sent = versionOf([...wanted.values()]);
    this.isSettled = false;
    return encodeDelta({ typeUrl: this.typeUrl, version: this.sent, nonce: this.#nonce }, changed, removed);
  }

  #wanted(view: View): ReadonlyMap<string, Resource> {
    const named = [...this.#names].flatMap((name) => {
      const resource = view.resources.get(name) ?? view.absent(name);
      return resource === undefined ? [] : [[name, resource] as const];
    });
    return new Map([...(this.#isAll ? view.resources : []), ...named]);
  }
}
