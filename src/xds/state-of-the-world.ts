import { changesBetween, versionOf } from './changes.ts';
import { encodePlain } from './encode.ts';
import type { NameSet, PlainRequest } from './plain-request.ts';
import { Refusals } from './refusals.ts';
import type { Refusal, Resource, Resources } from './resource.ts';
import { NOTHING, notNamed, type Subscription, type Unanswered, type View } from './subscription.ts';
import { isComplete } from './type-urls.ts';

const ALL = '*';

/** A subscription whose responses of listeners and clusters hold the complete set, of other types those that changed. */
export class StateOfTheWorld implements Subscription {
  readonly typeUrl: string;
  readonly #isComplete: boolean;
  /** `undefined`: all. */
  #names: ReadonlySet<string> | undefined;
  #hasNamed = false;
  /** Of the last request. */
  #asked: NameSet | undefined;
  /** Those of its names the proxy was sent, accepted or not, so that a refused one is not sent again; but for `#due`. */
  #base: Resources = NOTHING;
  /** Names that must be sent, changed or not. */
  readonly #due = new Set<string>();
  /** The complete set must be sent. */
  #isDue = false;
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
    this.#isComplete = isComplete(typeUrl);
    this.#names = this.#isComplete ? undefined : new Set();
    this.#refusals = new Refusals(typeUrl);
  }

  get refusal(): Refusal | undefined {
    return this.#refusals.last;
  }
  get refused(): ReadonlySet<string> {
    return this.#refusals.names;
  }

  receive(request: PlainRequest): void {
    const { responseNonce, errorDetail, versionInfo } = request;
    if (responseNonce !== '' && responseNonce !== this.#nonce) return; // to an earlier response
    const isFirst = responseNonce === '';
    if (isFirst) this.hasOwn = versionInfo !== '';
    else {
      this.isSettled = true;
      this.unanswered = undefined;
      if (errorDetail === undefined) this.accepted = this.sent;
      this.#refusals.answered(this.#last, this.#isComplete ? this.#base : undefined, errorDetail?.message);
      // Envoy ends at the first that it refuses, in any order; of complete sets it tries all.
      if (errorDetail !== undefined && !this.#isComplete) this.repeat(notNamed(this.#last, this.#refusals.last));
      this.#last = [];
    }
    const asked = request.names(this.#asked); // each ACK repeats the names
    if (asked !== this.#asked) this.#subscribe(asked.names);
    this.#asked = asked;
    if (isFirst) this.#isDue = true;
  }

  /** Naming nothing subscribes to all listeners and clusters, as long as nothing was ever named. */
  #subscribe(names: ReadonlySet<string>): void {
    if (names.size > 0) this.#hasNamed = true;
    const isAll = names.has(ALL) || (!this.#hasNamed && this.#isComplete);
    const before = this.#names;
    if (isAll) {
      if (before !== undefined) this.#isDue = true;
      this.#names = undefined;
      return;
    }
    this.#names = names;
    for (const name of names) if (before !== undefined && !before.has(name)) this.#due.add(name);
    for (const name of this.#due) if (!names.has(name)) this.#due.delete(name);
  }

  get named(): Iterable<string> {
    return this.#names ?? [];
  }

  asksFor(name: string): boolean {
    return this.#names === undefined || this.#names.has(name);
  }

  repeat(names: Iterable<string>): void {
    for (const name of names) if (this.asksFor(name)) this.#due.add(name);
  }

  response(view: View): Uint8Array | undefined {
    const { changed, gone } = changesBetween(this.#base, view.resources);
    const names = new Set([...changed, ...gone].filter((name) => this.asksFor(name)).concat(...this.#due));
    const resources: Resource[] = [];
    for (const name of names) {
      const resource = this.#wanted(name, view);
      if (resource === undefined) continue;
      resources.push(resource);
      this.#due.delete(name);
    }
    // A complete set is due even if it is empty; a name that does not exist is answered when it does.
    const isDue = this.#isComplete && (this.#isDue || gone.some((name) => this.asksFor(name)));
    this.#isDue = false;
    this.#base = view.resources;
    this.#refusals.keep(view.resources);
    if (resources.length === 0 && !isDue) return undefined;
    this.#last = resources;
    this.#nonce = String(++this.#count);
    this.sent = versionOf(view.resources);
    if (this.isSettled) this.unanswered = { sinceMs: performance.now(), resources: this.#last };
    this.isSettled = false;
    const head = { typeUrl: this.typeUrl, version: this.sent, nonce: this.#nonce };
    if (!this.#isComplete) return encodePlain(head, resources);
    if (this.#names === undefined) return encodePlain(head, view.resources);
    return encodePlain(
      head,
      [...this.#names].flatMap((name) => this.#wanted(name, view) ?? []),
    );
  }

  #wanted(name: string, view: View): Resource | undefined {
    return view.resources.get(name) ?? (this.#names === undefined ? undefined : view.absent(name));
  }
}
