/**
 * Reports that a backend refused, of a handler whose reports wait in memory.
 * **In**: encoded reports with the reason. **Out**: the newest of them, to list, to show, to send again, to drop. **Fails**: never; beyond
 * the bounds the oldest go first, counted.
 *
 * They are kept as octets: values of a report may be parts of much larger ones, which they would hold.
 */
import type { DeadLetterHead } from '../../spool/index.ts';

export interface MemoryLetter extends DeadLetterHead {
  /** The report in the form of a spool. */
  readonly bytes: Uint8Array;
}

export interface LettersState {
  readonly kept: number;
  readonly bytes: number;
  /** To make room for later ones, or since one alone is larger than all may be. */
  readonly dropped: number;
}

export interface LetterBounds {
  readonly maxLetters: number;
  readonly maxBytes: number;
}
const DEFAULT_LETTERS: LetterBounds = { maxLetters: 1000, maxBytes: 4 * 1024 * 1024 };

/** A backend words it; the rest is cut off. */
const MAX_WHY = 1000;
/** Of a letter beside its texts and octets. */
const LETTER_BYTES = 200;

const sizeOf = ({ id, rule, why, bytes }: MemoryLetter): number =>
  LETTER_BYTES + 2 * (id.length + rule.length + why.length) + bytes.length;

export class MemoryLetters {
  readonly #bounds: LetterBounds;
  /** Oldest first. */
  #letters: MemoryLetter[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(bounds: LetterBounds = DEFAULT_LETTERS) {
    this.#bounds = bounds;
  }

  get state(): LettersState {
    return { kept: this.#letters.length, bytes: this.#bytes, dropped: this.#dropped };
  }

  /** Oldest first. */
  get all(): readonly MemoryLetter[] {
    return this.#letters;
  }

  /** `bytes` are copied. */
  put({ id, rule, why, atMs }: DeadLetterHead, bytes: Uint8Array): void {
    const letter = { id, rule, why: shortened(why), atMs, bytes: new Uint8Array(bytes) };
    const size = sizeOf(letter);
    if (size > this.#bounds.maxBytes) {
      this.#dropped++;
      return;
    }
    this.#letters.push(letter);
    this.#bytes += size;
    let dropped = 0;
    while (this.#letters.length - dropped > this.#bounds.maxLetters || this.#bytes > this.#bounds.maxBytes)
      this.#bytes -= sizeOf(this.#letters[dropped++] as MemoryLetter);
    this.#letters.splice(0, dropped);
    this.#dropped += dropped;
  }

  /** One that has no form to be kept in. */
  lost(): void {
    this.#dropped++;
  }

  /** Removes them. */
  take(isWanted: (letter: MemoryLetter) => boolean): readonly MemoryLetter[] {
    const { true: taken = [], false: left = [] } = Object.groupBy(this.#letters, (letter) =>
      isWanted(letter) ? 'true' : 'false',
    );
    this.#letters = left;
    for (const letter of taken) this.#bytes -= sizeOf(letter);
    return taken;
  }
}

/** A part of a text may hold all of it. */
const shortened = (why: string): string => Buffer.from(why.slice(0, MAX_WHY)).toString();

/** Of several workers; `undefined`: of none. */
export const mergedLetterStates = (
  one: LettersState | undefined,
  other: LettersState | undefined,
): LettersState | undefined =>
  one === undefined || other === undefined
    ? (one ?? other)
    : { kept: one.kept + other.kept, bytes: one.bytes + other.bytes, dropped: one.dropped + other.dropped };

/** Of the handlers of an engine, by name: a handler that is mended by a reload may replay those of the one before it. */
export class LetterBoxes {
  readonly #boxes = new Map<string, MemoryLetters>();

  of(handler: string): MemoryLetters {
    let box = this.#boxes.get(handler);
    if (box === undefined) this.#boxes.set(handler, (box = new MemoryLetters()));
    return box;
  }

  /** Of handlers that have some, by name. */
  kept(): readonly (readonly [handler: string, letters: MemoryLetters])[] {
    return [...this.#boxes].filter(([, { state }]) => state.kept > 0);
  }

  /** Forgets those of other handlers; returns the names of those that had some. */
  keepOnly(handlers: ReadonlySet<string>): readonly string[] {
    const forgotten = [...this.#boxes].filter(([handler]) => !handlers.has(handler));
    for (const [handler] of forgotten) this.#boxes.delete(handler);
    return forgotten.filter(([, { state }]) => state.kept > 0).map(([handler]) => handler);
  }
}
