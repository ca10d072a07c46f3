/**
 * Merges the metrics pages of several workers (Prometheus text format): samples are summed.
 * **In**: the page of each worker. **Out**: one page. **Fails**: never; a line other than a sample is copied once.
 *
 * A gauge is summed unless a rule here or its page says otherwise: `# MERGE name max` (or `min`, `sum`) beside its HELP.
 *
 * A sum of counters never falls. A worker that does not answer counts with its last page. What a worker counted before it ended, removed a
 * series or began it anew at 0 is kept as the base of the sum, as long as another worker has the series. A series that no worker has ends:
 * at once if it was removed, after an hour if its worker ended, since a new worker has it only once it counts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { INCOMPLETE } from '../../adapters/plugin-metrics.ts';
import { type Header, headerOf, linePieces, sampleOf } from '../../admin/exposition-lines.ts';
import { InTurn } from '../../time/in-turn.ts';

type Merge = (a: number, b: number) => number;
const sum: Merge = (a, b) => a + b;
const BY_WORD: Readonly<Record<string, Merge>> = { sum, min: Math.min, max: Math.max };

function ruleOf(family: string): Merge {
  if (family === 'sluice_handler_ready') return Math.min;
  if (family === 'sluice_handler_breaker_open' || family === 'nodejs_version_info') return Math.max;
  if (family.startsWith('nodejs_eventloop_lag')) return family.includes('_min_') ? Math.min : Math.max;
  return sum;
}

/** All workers share the process; its metrics are on the supervisor's own page. */
const OF_PROCESS = /^process_/;
/** A new worker starts these at zero; the counts of ended workers are kept. */
const COUNTED = new Set(['counter', 'histogram']);
/** How long the series of a worker that ended are kept. */
const KEPT_MS = 3_600_000;
/** Series visited in one turn of the event loop, and characters of the page that are written in one. */
const SERIES_PER_TURN = 5000;
const PIECE_LENGTH = 64 * 1024;

interface Value {
  value: number;
  /** The update that read it. */
  round: number;
}

interface Series {
  /** By worker. */
  readonly values: (Value | undefined)[];
  base: number;
  /** Since when its last worker has ended. */
  endedAtMs: number | undefined;
  timestamp: string | undefined;
  exemplar: string | undefined;
}

class Family {
  readonly headers = new Map<Header['word'], string>();
  readonly series = new Map<string, Series>();
  merge: Merge;

  constructor(name: string) {
    this.merge = ruleOf(name);
  }

  get isCounted(): boolean {
    return COUNTED.has(this.headers.get('TYPE') ?? '');
  }

  head(header: Header): void {
    this.headers.set(header.word, header.rest);
    if (header.word === 'MERGE') this.merge = BY_WORD[header.rest] ?? sum;
  }

  of(name: string): Series {
    let series = this.series.get(name);
    if (series !== undefined) return series;
    series = { values: [], base: 0, endedAtMs: undefined, timestamp: undefined, exemplar: undefined };
    // A copy: the name is part of a piece of a page, which it would keep in memory.
    this.series.set(Buffer.from(name).toString(), series);
    return series;
  }

  /** The worker no longer has the series. */
  leave(name: string, series: Series, worker: number, endedAtMs: number | undefined): void {
    const { values } = series;
    const value = values[worker];
    if (value === undefined) return;
    values[worker] = undefined;
    if (this.isCounted) series.base += value.value;
    if (values.some((other) => other !== undefined)) return;
    if (endedAtMs === undefined || !this.isCounted) this.series.delete(name);
    else series.endedAtMs = endedAtMs;
  }
}

/** The pages of a crew. Updates, ends and reads take place one after the other. */
export class WorkerPages {
  readonly #families = new Map<string, Family>();
  readonly #nowMs: () => number;
  #round = 0;
  #asked = 0;
  /** By worker: the number of the ask after which its pages are those of its successor, or newer than others. */
  readonly #takenUntil = new Map<number, number>();
  readonly #turns = new InTurn();

  /** `nowMs`: monotonic. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Before workers are asked for their pages: what {@link update} compares them by. */
  ask(): number {
    return ++this.#asked;
  }

  /** Takes over the page of a worker, in pieces, unless the worker has ended since it was asked, or a later page has been taken. */
  update(worker: number, page: AsyncIterable<string> | Iterable<string>, asked = this.ask()): Promise<void> {
    if (asked <= (this.#takenUntil.get(worker) ?? 0)) return Promise.resolve();
    this.#takenUntil.set(worker, asked);
    return this.#turns.run(async () => {
      const round = ++this.#round;
      const isWhole = await this.#read(worker, page, round);
      if (!isWhole) return;
      await this.#each((family, name, series) => {
        const value = series.values[worker];
        if (value !== undefined && value.round !== round) family.leave(name, series, worker, undefined);
      });
    });
  }

  /** Counts since its last page are lost. */
  ended(worker: number): Promise<void> {
    const nowMs = this.#nowMs();
    this.#takenUntil.set(worker, this.#asked);
    return this.#turns.run(() =>
      this.#each((family, name, series) => {
        family.leave(name, series, worker, nowMs);
      }),
    );
  }

  /** The sums, in pieces. Pages are read at once, so that a slow reader does not delay others. */
  merged(): Promise<readonly string[]> {
    return this.#turns.run(async () => {
      const pieces: string[] = [];
      let piece = '';
      const expiredAtMs = this.#nowMs() - KEPT_MS;
      for (const [family, { headers, merge, series: all }] of this.#families) {
        for (const [word, rest] of headers) piece += `# ${word} ${family} ${rest}\n`;
        for (const [name, series] of all) {
          if ((series.endedAtMs ?? Infinity) <= expiredAtMs) all.delete(name);
          else piece += `${name} ${valueText(series, merge)}\n`;
          if (piece.length < PIECE_LENGTH) continue;
          pieces.push(piece);
          piece = '';
          await nextTurn();
        }
      }
      return [...pieces, piece];
    });
  }

  async #each(visit: (family: Family, name: string, series: Series) => void): Promise<void> {
    let visited = 0;
    for (const family of this.#families.values()) {
      for (const [name, series] of family.series) {
        visit(family, name, series);
        if (++visited % SERIES_PER_TURN === 0) await nextTurn();
      }
    }
  }

  /** False if the page says that a part of it is missing. */
  async #read(worker: number, page: AsyncIterable<string> | Iterable<string>, round: number): Promise<boolean> {
    let isWhole = true;
    let family = '';
    for await (const piece of linePieces(page)) {
      for (const line of piece.split('\n')) {
        if (line === '') continue;
        if (line === INCOMPLETE) isWhole = false;
        const header = line.startsWith('#') ? headerOf(line) : undefined;
        if (header !== undefined) ({ family } = header);
        const sample = line.startsWith('#') ? undefined : sampleOf(line);
        if (sample !== undefined && !belongsTo(sample.series, family))
          [family = ''] = /^[\w:]+/.exec(sample.series) ?? [];
        if ((header === undefined && sample === undefined) || OF_PROCESS.test(family)) continue;
        let known = this.#families.get(family);
        if (known === undefined) this.#families.set(family, (known = new Family(family)));
        if (header !== undefined) known.head(header);
        if (sample !== undefined) this.#take(known, sample, worker, round);
      }
    }
    return isWhole;
  }

  #take(
    family: Family,
    { series: name, value, timestamp, exemplar }: NonNullable<ReturnType<typeof sampleOf>>,
    worker: number,
    round: number,
  ): void {
    const series = family.of(name);
    const read = numberOf(value);
    const known = series.values[worker];
    series.endedAtMs = undefined;
    if (known === undefined) series.values[worker] = { value: read, round };
    else if (known.round === round) known.value = family.merge(known.value, read); // twice on one page
    else {
      if (family.isCounted && read < known.value) series.base += known.value;
      known.value = read;
      known.round = round;
    }
    if (timestamp !== undefined && !(Number(timestamp) < Number(series.timestamp))) series.timestamp = timestamp;
    if (exemplar !== undefined && !(timeOf(exemplar) < timeOf(series.exemplar))) series.exemplar = exemplar;
  }
}

/** The supervisor's own page without the metrics of its thread, which answers no calls. */
export async function* supervisorPart(page: AsyncIterable<string>): AsyncGenerator<string> {
  let isLeftOut = false;
  for await (const piece of linePieces(page)) {
    let part = '';
    for (const line of piece.split('\n')) {
      if (line.startsWith('#')) isLeftOut = headerOf(line)?.family.startsWith('nodejs_') === true;
      if (!isLeftOut && line !== '') part += `${line}\n`;
    }
    yield part;
  }
}

/** Whether a sample is of this family: its name, or with the suffix of a histogram, a summary or, in OpenMetrics, a counter. */
function belongsTo(series: string, family: string): boolean {
  if (!series.startsWith(family)) return false;
  const brace = series.indexOf('{');
  const suffix = series.slice(family.length, brace < 0 ? undefined : brace);
  return suffix === '' || SUFFIXES.has(suffix);
}
const SUFFIXES = new Set(['_bucket', '_sum', '_count', '_total', '_created', '_info']);

function valueText({ values, base, timestamp, exemplar }: Series, merge: Merge): string {
  let merged: number | undefined;
  for (const one of values) {
    if (one !== undefined) merged = merged === undefined ? one.value : merge(merged, one.value);
  }
  const value = base + (merged ?? 0);
  const text = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return `${text}${timestamp === undefined ? '' : ` ${timestamp}`}${exemplar === undefined ? '' : ` # ${exemplar}`}`;
}

const numberOf = (text: string): number => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));

/** Seconds; 0 for an exemplar without a time. */
const timeOf = (exemplar: string | undefined): number => Number(/ (\d[\d.]*)$/.exec(exemplar ?? '')?.[1] ?? 0);
