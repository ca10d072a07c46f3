/** Evidence for a rule: how often, by whom, when. Merging is commutative, so the order of calls does not matter. */

/** Of one method at one place; above it, callers are not distinguished. */
export const MAX_CALLERS = 64;
const MAX_EXAMPLES = 3;

/** Bounds memory: nodes of paths and tallies of callers take one place each. */
export class Room {
  #left: number;

  constructor(places: number) {
    this.#left = places;
  }

  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}

export class Tally {
  calls = 0;
  firstMs = Infinity;
  lastMs = -Infinity;

  add(timeMs: number): void {
    this.calls++;
    if (timeMs < this.firstMs) this.firstMs = timeMs;
    if (timeMs > this.lastMs) this.lastMs = timeMs;
  }

  join({ calls, firstMs, lastMs }: Tally): void {
    this.calls += calls;
    this.firstMs = Math.min(this.firstMs, firstMs);
    this.lastMs = Math.max(this.lastMs, lastMs);
  }
}

/** The smallest texts of all that were added. */
export class Examples {
  readonly #most: number;
  #texts: string[] = [];

  constructor(most: number = MAX_EXAMPLES) {
    this.#most = most;
  }

  add(text: string): void {
    const last = this.#texts.at(-1);
    if (this.#texts.length === this.#most && last !== undefined && text >= last) return;
    if (this.#texts.includes(text)) return;
    this.#texts = [...this.#texts, text].toSorted().slice(0, this.#most);
  }

  join(other: Examples): void {
    for (const text of other.#texts) this.add(text);
  }

  get texts(): readonly string[] {
    return this.#texts;
  }
}

/** The calls of one method to one place. */
export class MethodCalls {
  readonly all = new Tally();
  /** Calls without an identity. */
  anonymous = 0;
  /** By caller, `''` without an identity; `undefined` if there are more than {@link MAX_CALLERS}, or than there is room for. */
  #callers: Map<string, Tally> | undefined = new Map();

  add(caller: string, timeMs: number, room: Room): void {
    this.all.add(timeMs);
    if (caller === '') this.anonymous++;
    if (this.#callers?.has(caller) === false && !room.take()) this.#callers = undefined;
    this.#tallyOf(caller)?.add(timeMs);
  }

  join(other: MethodCalls): void {
    this.all.join(other.all);
    this.anonymous += other.anonymous;
    if (other.#callers === undefined) this.#callers = undefined;
    for (const [caller, tally] of other.#callers ?? []) this.#tallyOf(caller)?.join(tally);
  }

  get callers(): ReadonlyMap<string, Tally> | undefined {
    return this.#callers;
  }

  #tallyOf(caller: string): Tally | undefined {
    if (this.#callers === undefined) return undefined;
    const known = this.#callers.get(caller);
    if (known !== undefined) return known;
    if (this.#callers.size === MAX_CALLERS) {
      this.#callers = undefined;
      return undefined;
    }
    const tally = new Tally();
    this.#callers.set(caller, tally);
    return tally;
  }
}

/** What was asked of one place: of one path, or of all paths of one shape. */
export class Endpoint {
  readonly methods = new Map<string, MethodCalls>();
  readonly examples = new Examples();

  add(method: string, caller: string, path: string, timeMs: number, room: Room): void {
    this.#of(method).add(caller, timeMs, room);
    this.examples.add(path);
  }

  join(other: Endpoint): void {
    for (const [method, calls] of other.methods) this.#of(method).join(calls);
    this.examples.join(other.examples);
  }

  get calls(): number {
    return [...this.methods.values()].reduce((sum, { all }) => sum + all.calls, 0);
  }

  #of(method: string): MethodCalls {
    let calls = this.methods.get(method);
    if (calls === undefined) this.methods.set(method, (calls = new MethodCalls()));
    return calls;
  }
}
