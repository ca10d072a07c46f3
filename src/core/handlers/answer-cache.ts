/**
 * Answers of one handler that stay valid, for calls with an equal rule and input.
 * **In**: the function that a handler prepared for a rule. **Out**: kept answers, and a function for the gate that shares one answer among
 * equal calls that wait at the same time. **Fails**: never; what cannot be kept is asked again.
 *
 * Only answers that arrive by promise are kept: a handler that answers at once answers faster than a cache.
 */
import { LRUCache } from 'lru-cache';
import type { HandlerMeters } from '../metrics/meters.ts';
import type { AnswerKind } from './answer-kinds.ts';
import type { HandlerCall } from './handler-call.ts';
import { inputKey } from './input-key.ts';
import { inputBytes } from './report-size.ts';

type Values = Readonly<Record<string, unknown>>;
type Ask<A> = (input: Values, call: HandlerCall) => A | Promise<A>;

interface KeptAnswer {
  readonly answer: unknown;
  /** By `performance.now()`. */
  readonly endsAtMs: number;
  /** Uses that are left. */
  left: number;
}

/** A plugin's `validForMs` above it counts as this. */
const LONGEST_MS = 24 * 3600 * 1000;
/** Of an entry, beside its key and answer. */
const ENTRY_BYTES = 250;

export class AnswerCache {
  readonly meters: HandlerMeters;
  #kept: LRUCache<string, KeptAnswer> | undefined;
  #maxBytes = 0;
  #rules = 0;

  constructor(maxBytes: number, meters: HandlerMeters) {
    this.meters = meters;
    this.configure(maxBytes);
  }

  /** 0 keeps and shares nothing. A change drops all answers. */
  configure(maxBytes: number): void {
    if (maxBytes === this.#maxBytes) return;
    this.#maxBytes = maxBytes;
    this.meters.cacheBytes = 0;
    this.#kept = undefined;
  }

  get isOff(): boolean {
    return this.#maxBytes === 0;
  }

  /** Each preparation of a rule has answers of its own, so a reload starts without any. */
  forRule<A>(ask: Ask<A>, kind: AnswerKind<A>): RuleAnswers<A> {
    return new RuleAnswers(this, `${++this.#rules} `, ask, kind);
  }

  get(key: string): KeptAnswer | undefined {
    return this.#kept?.get(key);
  }

  set(key: string, kept: KeptAnswer): void {
    if (this.isOff) return;
    this.#kept ??= this.#made();
    this.#kept.set(key, kept, { size: key.length * 2 + ENTRY_BYTES + inputBytes(kept.answer as Values) });
    this.#measure();
  }

  delete(key: string): void {
    this.#kept?.delete(key);
    this.#measure();
  }

  clear(): void {
    this.#kept?.clear();
    this.#measure();
  }

  /** With the first answer that is kept, since most handlers have none. */
  #made(): LRUCache<string, KeptAnswer> {
    return new LRUCache({
      maxSize: this.#maxBytes,
      dispose: (_, _key, reason) => {
        if (reason === 'evict') this.meters.cacheEvictions++;
      },
    });
  }

  #measure(): void {
    this.meters.cacheBytes = this.#kept?.calculatedSize ?? 0;
  }
}

type Shared = KeptAnswer | 'for its call alone' | 'abandoned';

/** A call that the handler works on, and that equal calls wait for. */
interface Flight {
  /** Rejects as the handler does. */
  readonly shared: Promise<Shared>;
  /** Once it is over, later calls do not wait for it. */
  readonly leader: HandlerCall;
}

export class RuleAnswers<A> {
  /** An answer of this rule had a validity. Before that no key is computed and no answer shared, since each call may have effects. */
  mayHold = false;
  /** For the gate, in place of the handler's own function. */
  readonly ask: Ask<A>;
  readonly problemOf: AnswerKind<A>['problemOf'];
  readonly #cache: AnswerCache;
  readonly #prefix: string;
  readonly #own: Ask<A>;
  readonly #kind: AnswerKind<A>;
  readonly #flights = new Map<string, Flight>();

  constructor(cache: AnswerCache, prefix: string, own: Ask<A>, kind: AnswerKind<A>) {
    this.#cache = cache;
    this.#prefix = prefix;
    this.#own = own;
    this.#kind = kind;
    this.problemOf = kind.problemOf;
    this.ask = (input, call) => this.#ask(input, call);
  }

  /** A kept answer. `isInspection`: it does not count as a use. */
  kept(input: Values, nowMs: number, isInspection: boolean): A | undefined {
    const key = this.#keyOf(input);
    return key === undefined ? undefined : this.#take(key, nowMs, isInspection);
  }

  #keyOf(input: Values): string | undefined {
    const text = inputKey(input);
    return text === undefined ? undefined : this.#prefix + text;
  }

  #take(key: string, nowMs: number, isInspection = false): A | undefined {
    const kept = this.#cache.get(key);
    if (kept === undefined) return undefined;
    if (kept.endsAtMs <= nowMs || kept.left < 1) {
      this.#cache.delete(key);
      return undefined;
    }
    if (!isInspection) {
      kept.left--;
      this.#cache.meters.cacheHits++;
    }
    return kept.answer as A;
  }

  #ask(input: Values, call: HandlerCall): A | Promise<A> {
    const key = this.mayHold ? this.#keyOf(input) : undefined;
    if (key !== undefined) return this.#askOnce(key, input, call);
    const answer = this.#own(input, call);
    if (answer instanceof Promise && !this.#cache.isOff && !this.mayHold) void answer.then(this.#first(input), ignore);
    return answer;
  }

  /** Takes the first answer that has a validity. */
  #first(input: Values): (answer: A) => void {
    return (answer) => {
      const key = this.#keyOf(input);
      if (key !== undefined) this.#settled(key, answer);
    };
  }

  #askOnce(key: string, input: Values, call: HandlerCall): A | Promise<A> {
    const kept = this.#take(key, performance.now()); // kept while this call waited in the queue of the gate
    if (kept !== undefined) return kept;
    const flight = this.#flights.get(key);
    if (flight !== undefined && !flight.leader.isOver) return this.#join(flight, input, call);
    this.#cache.meters.cacheMisses++;
    const answer = this.#own(input, call);
    if (answer instanceof Promise) this.#share(key, answer, call);
    return answer;
  }

  async #join({ shared }: Flight, input: Values, call: HandlerCall): Promise<A> {
    const kept = await shared;
    if (kept === 'abandoned') return this.#ask(input, call);
    if (kept === 'for its call alone' || kept.left < 1) return this.#own(input, call);
    kept.left--;
    this.#cache.meters.cacheShared++;
    return kept.answer as A;
  }

  #share(key: string, answer: Promise<A>, leader: HandlerCall): void {
    const shared = answer.then(
      (value): Shared => this.#settled(key, value) ?? 'for its call alone',
      (error: unknown): Shared => {
        if (leader.isOver || isAbort(error)) return 'abandoned'; // its caller left
        throw error;
      },
    );
    const flight: Flight = { shared, leader };
    this.#flights.set(key, flight);
    const land = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    shared.then(land, land);
  }

  /** Keeps the answer if it stays valid; `undefined` if it is for its own call alone. */
  #settled(key: string, answer: A): KeptAnswer | undefined {
    const { validForMs, uses } = this.#validityOf(answer);
    if (validForMs === undefined || uses < 2) return undefined;
    this.mayHold = true;
    const kept: KeptAnswer = {
      answer: this.#kind.asKept(answer),
      endsAtMs: performance.now() + Math.min(validForMs, LONGEST_MS),
      left: uses - 1,
    };
    if (validForMs > 0) this.#cache.set(key, kept);
    return kept;
  }

  #validityOf(answer: A): { readonly validForMs: number | undefined; readonly uses: number } {
    try {
      const validity = this.#kind.problemOf(answer) === undefined ? this.#kind.validityOf(answer) : undefined;
      return validity ?? NO_STORE;
    } catch {
      return NO_STORE; // the gate reports what is wrong with it
    }
  }
}

const ignore = (): void => {};
const NO_STORE = { validForMs: undefined, uses: 1 };

const isAbort = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
