/**
 * Counters in memory that all workers of the process see; one worker at a time is within it.
 * **In**: names of counters. **Out**: copies of counters, which are written back. **Fails**: never; a new counter takes the place of
 * another.
 */
import { hash } from 'node:crypto';
import type { Host } from '../../adapters/contract.ts';
import { SharedPlaces } from '../../adapters/shared-places.ts';
import { changeOf } from '../ask.ts';
import { type Counter, type Entry, keepsEntries, NO_ENTRIES } from '../counter.ts';
import type { CounterAsk } from '../store.ts';
import { SharedEntries } from './shared-entries.ts';
import type { CounterName, Table } from './table.ts';

/** Numbers of a place: the end, what was used (or the rounding of `gcra`), what was used before, and a number for the counter's name. */
const PER_PLACE = 4;
const GROUP_AT = 3;

export interface SharedTableOptions {
  readonly maxKeys: number;
  /** Of `log` and `concurrency`, over all counters. */
  readonly maxEntries: number;
  readonly host: Pick<Host, 'shared' | 'worker'> & { readonly clock: Pick<Host['clock'], 'nowMs'> };
  readonly onEvicted: () => void;
  readonly onEntryEvicted: () => void;
}

/** A counter as it was read from the place at `at`, with the entries that are stored there. */
interface Found extends Counter {
  readonly at: number;
  readonly isGcra: boolean;
  readonly stored: readonly Entry[];
}

export class SharedTable implements Table<Found> {
  readonly #clock: Pick<Host['clock'], 'nowMs'>;
  readonly #places: SharedPlaces;
  readonly #values: Float64Array;
  /** Of the counters that remember each charge: the list of each place. */
  readonly #entries: SharedEntries;
  /** The number of each name, the same in all workers. */
  readonly #groups = new Map<string, number>();

  constructor({ maxKeys, maxEntries, host, onEvicted, onEntryEvicted }: SharedTableOptions) {
    this.#clock = host.clock;
    const sizes = `${maxKeys} and ${maxEntries}`; // in both names: each belongs to the other
    const memory = host.shared(`counters of ${sizes}`, SharedPlaces.bytesFor(maxKeys, PER_PLACE));
    this.#places = new SharedPlaces({
      memory,
      worker: host.worker.number,
      perPlace: PER_PLACE,
      onEvicted,
      onTaken: (at) => this.#entries.clear(at / PER_PLACE),
    });
    this.#values = this.#places.values;
    const lists = this.#values.length / PER_PLACE;
    const entries = host.shared(`entries of ${sizes}`, SharedEntries.bytesFor(lists, maxEntries));
    this.#entries = this.#places.within(
      () => new SharedEntries({ memory: entries, lists, maxEntries, onEvicted: onEntryEvicted }),
    );
  }

  /** Counters in use now; looks at the whole memory. */
  get size(): number {
    const nowMs = this.nowMs();
    let size = 0;
    for (let at = 0; at < this.#values.length; at += PER_PLACE) if ((this.#values[at] as number) > nowMs) size++;
    return size;
  }

  within<R>(work: (asks: readonly CounterAsk[]) => R, asks: readonly CounterAsk[]): R {
    return this.#places.within(() => {
      this.#entries.repair();
      return work(asks);
    });
  }

  /** The time of day, which workers have in common. */
  nowMs(): number {
    return this.#clock.nowMs();
  }

  reserve(asks: readonly CounterAsk[]): void {
    let count = 0;
    for (const ask of asks) if (keepsEntries(ask.bucket.algorithm) && changeOf(ask) > 0) count++;
    if (count > 0) this.#entries.makeRoom(count, this.nowMs());
  }

  find(name: CounterName): Found | undefined {
    const at = this.#places.find(nameOf(name));
    return at === undefined ? undefined : this.#read(at, name);
  }

  /** The groups of a full set have equal shares of it. */
  add(name: CounterName, counter: Readonly<Counter>, leaseId?: string): true {
    const { counter: rule } = name.bucket;
    let group = this.#groups.get(rule);
    if (group === undefined) this.#groups.set(rule, (group = Number.parseInt(hash('sha256', rule).slice(0, 13), 16)));
    const at = this.#places.placeOf(nameOf(name), this.nowMs(), GROUP_AT, group);
    this.#values[at + GROUP_AT] = group;
    const { endsAtMs, used, usedBefore, roundedUpMs, entries } = counter;
    const isGcra = name.bucket.algorithm === 'gcra';
    this.write({ at, isGcra, endsAtMs, used, usedBefore, roundedUpMs, entries, stored: NO_ENTRIES }, false, leaseId);
    return true;
  }

  write(found: Found, _isRenewed: boolean, leaseId?: string): void {
    const { at, isGcra, stored, entries } = found;
    if (stored !== entries) this.#entries.write(at / PER_PLACE, stored, entries, leaseId);
    this.#values[at] = found.endsAtMs;
    this.#values[at + 1] = isGcra ? found.roundedUpMs : found.used;
    this.#values[at + 2] = found.usedBefore;
  }

  /** A hash, since all owners have the same size. */
  ownerOf(idempotencyKey: string): number {
    return this.#entries.ownerOf(idempotencyKey);
  }

  leaseIdOf(entry: Entry): string | undefined {
    return this.#entries.idOf(entry);
  }

  #read(at: number, { bucket: { algorithm } }: CounterName): Found {
    const isGcra = algorithm === 'gcra';
    const second = this.#values[at + 1] as number;
    const stored = keepsEntries(algorithm) ? this.#entries.read(at / PER_PLACE) : NO_ENTRIES;
    return {
      at,
      isGcra,
      endsAtMs: this.#values[at] as number,
      used: isGcra ? 0 : second,
      usedBefore: this.#values[at + 2] as number,
      roundedUpMs: isGcra ? second : 0,
      entries: stored,
      stored,
    };
  }
}

/** The key of a `window` names it wholly. */
const nameOf = ({ bucket: { algorithm, counter }, key, perMs }: CounterName): string =>
  algorithm === 'window' ? key : `${algorithm} ${perMs} ${counter} ${key}`;
