import type { DeltaDiscoveryRequest } from '../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { changesBetween, versionOf } from './changes.ts';
import { encodeDelta } from './encode.ts';
import { Refusals } from './refusals.ts';
import type { Refusal, Resource, Resources } from './resource.ts';
import { NOTHING, notNamed, type Subscription, type Unanswered, type View } from './subscription.ts';
import { isComplete } from './type-urls.ts';

const ALL = '*';

/** A subscription whose responses hold what changed and what is gone (delta). */
export class Differences implements Subscription {
  readonly typeUrl: string;
  #isAll = false;
  readonly #names = new Set<string>();
  /** Those that it asks for the proxy has, or was sent and refused; but for `#others` and `#due`. */
  #base: Resources = NOTHING;
  /** Versions that it has and that are not in the base: of an earlier stream, or in place of what does not exist. */
  readonly #others = new Map<string, string>();
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
  readonly #refusals: Refusals;
  isSettled = true;
  unanswered: Unanswered | undefined;
  hasOwn = false;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
    this.#refusals = new Refusals(typeUrl);
  }

  get refusal(): Refusal | undefined {
    return this.#refusals.last;
  }
  get refused(): ReadonlySet<string> {
    return this.#refusals.names;
  }

  /** A subscription is honoured whatever its nonce is. */
  receive(request: DeltaDiscoveryRequest): void {
    const { responseNonce, errorDetail, resourceNamesSubscribe, resourceNamesUnsubscribe } = request;
    if (responseNonce !== '' && responseNonce === this.#nonce) {
      this.isSettled = true;
      this.unanswered = undefined;
      if (errorDetail === undefined) this.accepted = this.sent;
      this.#refusals.answered(this.#last, undefined, errorDetail?.message);
      // Envoy ends at the first that it refuses, in any order; of listeners and clusters it tries all.
      if (errorDetail !== undefined && !isComplete(this.typeUrl))
        this.repeat(notNamed(this.#last, this.#refusals.last));
      this.#last = [];
    }
    const isFirst = this.#isFirst;
    if (isFirst) this.#begin(request);
    for (const name of resourceNamesSubscribe) {
      if (name === ALL) this.#subscribeToAll();
      else this.#names.add(name);
      // After a reconnect the proxy says which versions it has.
      if (name !== ALL && !(isFirst && this.#others.has(name))) this.#due.add(name);
    }
    for (const name of resourceNamesUnsubscribe) {
      if (name === ALL) this.#unsubscribeFromAll();
      this.#names.delete(name);
      if (this.#isAll) this.#due.add(name);
      else this.#others.delete(name);
    }
  }

  #subscribeToAll(): void {
    if (!this.#isAll) for (const name of this.#base.keys()) if (!this.#names.has(name)) this.#due.add(name);
    this.#isAll = true;
  }
  #unsubscribeFromAll(): void {
    if (this.#isAll)
      for (const [name, { version }] of this.#base) if (!this.#names.has(name)) this.#others.set(name, version);
    this.#isAll = false;
  }

  #begin({ resourceNamesSubscribe, initialResourceVersions }: DeltaDiscoveryRequest): void {
    this.#isFirst = false;
    this.#isAll = isComplete(this.typeUrl) && resourceNamesSubscribe.length === 0;
    this.#isFirstDue = this.#isAll || resourceNamesSubscribe.includes(ALL);
    for (const [name, version] of Object.entries(initialResourceVersions)) this.#others.set(name, version);
    this.hasOwn = this.#others.size > 0;
  }

  get named(): Iterable<string> {
    return this.#names;
  }

  asksFor(name: string): boolean {
    return this.#isAll || this.#names.has(name);
  }

  repeat(names: Iterable<string>): void {
    for (const name of names) if (this.asksFor(name)) this.#due.add(name);
  }

  response(view: View): Uint8Array | undefined {
    const { changed, removed } = this.#differences(view);
    const isDue = this.#isFirstDue;
    this.#isFirstDue = false;
    this.#due.clear();
    this.#base = view.resources;
    this.#refusals.keep(view.resources);
    if (changed.length === 0 && removed.length === 0 && !isDue) return undefined;
    this.#last = changed;
    this.#nonce = String(++this.#count);
    this.sent = versionOf(view.resources);
    if (this.isSettled) this.unanswered = { sinceMs: performance.now(), resources: this.#last };
    this.isSettled = false;
    return encodeDelta({ typeUrl: this.typeUrl, version: this.sent, nonce: this.#nonce }, changed, removed);
  }

  #differences(view: View): { readonly changed: readonly Resource[]; readonly removed: readonly string[] } {
    const { changed: newer, gone } = changesBetween(this.#base, view.resources);
    const names = [...newer, ...gone].filter((name) => this.asksFor(name));
    const changed: Resource[] = [];
    const removed: string[] = [];
    for (const name of new Set([...names, ...this.#due, ...this.#others.keys()])) {
      const isDue = this.#due.has(name);
      const wanted = this.#wanted(name, view);
      const known = this.#others.get(name) ?? (this.asksFor(name) ? this.#base.get(name)?.version : undefined);
      this.#others.delete(name);
      if (wanted !== undefined) {
        if (known !== wanted.version || isDue) changed.push(wanted);
        if (!view.resources.has(name)) this.#others.set(name, wanted.version);
      } else if (isDue || (known !== undefined && !view.keepsOld)) removed.push(name);
      else if (known !== undefined) this.#others.set(name, known);
    }
    return { changed, removed };
  }

  #wanted(name: string, view: View): Resource | undefined {
    if (!this.asksFor(name)) return undefined;
    return view.resources.get(name) ?? (this.#names.has(name) ? view.absent(name) : undefined);
  }
}
