/**
 * The dynamic table of HPACK (RFC 7541 section 2.3.2), without an object per entry: clients insert ids that no later block names, and
 * objects that live for some twenty requests would be moved to the old generation of the heap, whose collection delays calls.
 * **In**: fields that a client indexes, and indices. **Out**: fields; one for all entries of the same name and value, if they affect how a
 * request is handled. **Fails**: never.
 */
import { copyOf } from './byte-arena.ts';
import { Field, FieldKind } from './field.ts';

/** The size of the peer's table: RFC 7541's default, since we announce none. */
export const TABLE_BYTES = 4096;
/** RFC 7541 section 4.1. */
export const ENTRY_BYTES = 32;
/** As many entries as there can be, all empty. */
const SLOTS = TABLE_BYTES / ENTRY_BYTES;
/** Values are written one after the other, and again from the start: twice the table, so that no value in use is overwritten. */
const VALUE_BYTES = 2 * TABLE_BYTES;

export class DynamicTable {
  readonly #fields = Array.from<Field | undefined>({ length: SLOTS });
  readonly #names = Array.from({ length: SLOTS }, () => '');
  readonly #kinds = new Uint8Array(SLOTS);
  readonly #hasLow = new Uint8Array(SLOTS);
  readonly #from = new Uint16Array(SLOTS);
  readonly #to = new Uint16Array(SLOTS);
  #values: Uint8Array | undefined;
  #valuesTo = 0;
  /** Numbers of the oldest entry and of the next. */
  #first = 0;
  #next = 0;
  #size = 0;
  #limit = TABLE_BYTES;
  /**
   * Of each name that affects how a request is handled, the field that was read last; together no larger than the table, since clients
   * choose names and values.
   */
  readonly #last = new Map<string, Field>();
  #lastBytes = 0;

  /** The field at an index of the table, 1 for the newest entry; `undefined` if there is none. */
  at(index: number): Field | undefined {
    const number = this.#next - index;
    if (number < this.#first || index < 1) return undefined;
    const slot = number % SLOTS;
    return (this.#fields[slot] ??= this.#make(slot));
  }

  /** Copies the value. An entry that is larger than the table empties it (RFC 7541 section 4.4). */
  insert(name: string, kind: FieldKind, bytes: Uint8Array, from: number, to: number, hasLow: boolean): void {
    const size = name.length + to - from + ENTRY_BYTES;
    this.#evict(this.#limit - size);
    if (size > this.#limit) return;
    const slot = this.#next++ % SLOTS;
    this.#size += size;
    const values = (this.#values ??= new Uint8Array(VALUE_BYTES));
    let end = this.#valuesTo + to - from > VALUE_BYTES ? 0 : this.#valuesTo;
    this.#from[slot] = end;
    for (let at = from; at < to; at++) values[end++] = bytes[at] as number;
    this.#to[slot] = this.#valuesTo = end;
    this.#names[slot] = name;
    this.#kinds[slot] = kind;
    this.#hasLow[slot] = hasLow ? 1 : 0;
    const last = kind === FieldKind.OTHER ? undefined : this.#last.get(name);
    this.#fields[slot] = last?.hasValue(bytes, from, to) === true ? last : undefined;
  }

  resize(limit: number): void {
    this.#limit = limit;
    this.#evict(limit);
  }

  #evict(room: number): void {
    while (this.#size > room && this.#first < this.#next) {
      const slot = this.#first++ % SLOTS;
      this.#size -= (this.#names[slot] as string).length + this.#valueBytes(slot) + ENTRY_BYTES;
      this.#fields[slot] = undefined;
      this.#names[slot] = '';
    }
  }

  #valueBytes(slot: number): number {
    return (this.#to[slot] as number) - (this.#from[slot] as number);
  }

  #make(slot: number): Field {
    const bytes = copyOf(this.#values ?? NOTHING, this.#from[slot] as number, this.#to[slot] as number);
    const name = this.#names[slot] as string;
    const kind = this.#kinds[slot] as FieldKind;
    const field = new Field(name, kind, bytes, 0, bytes.length, this.#hasLow[slot] === 1);
    if (kind !== FieldKind.OTHER) this.#remember(field);
    return field;
  }

  #remember(field: Field): void {
    const last = this.#last;
    this.#lastBytes += field.size - (last.get(field.name)?.size ?? 0);
    if (this.#lastBytes > TABLE_BYTES) {
      last.clear();
      this.#lastBytes = field.size;
    }
    last.set(field.name, field);
  }
}

const NOTHING = new Uint8Array(0);
