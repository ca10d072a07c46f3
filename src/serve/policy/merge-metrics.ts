/**
 * Merges the metrics pages of several workers (Prometheus text format): samples are summed.
 * **In**: the page of each worker. **Out**: one page. **Fails**: never; a line other than a sample is copied once.
 *
 * A gauge is summed unless a rule here or its page says otherwise: `# MERGE name max` (or `min`, `sum`) beside its HELP.
 */

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
/** Quoted labels may hold any character; a timestamp may follow the value. */
const SAMPLE = /^([A-Za-z_:][\w:]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?)\s+(\S+)/;

interface Family {
  readonly about: Set<string>;
  type: string;
  merge: Merge;
  readonly samples: Map<string, number>;
}

/** The pages of a crew. Sums of counters never decrease, even if a worker ends or does not answer. */
export class WorkerPages {
  readonly #last = new Map<number, string>();
  #ended: Map<string, Family> = new Map();

  update(worker: number, page: string): void {
    this.#last.set(worker, page);
  }

  /** Counts since its last page are lost. */
  ended(worker: number): void {
    const page = this.#last.get(worker);
    if (page === undefined) return;
    this.#last.delete(worker);
    for (const [name, family] of familiesOf([page])) {
      if (!COUNTED.has(family.type)) continue;
      const known = this.#ended.get(name);
      if (known === undefined) this.#ended.set(name, family);
      else
        for (const [series, value] of family.samples)
          known.samples.set(series, (known.samples.get(series) ?? 0) + value);
    }
  }

  /** `others`: further pages to add. */
  merged(others: readonly string[] = []): string {
    return textOf(familiesOf([...this.#last.values(), ...others], this.#ended));
  }
}

/** The supervisor's own page without the metrics of its thread, which answers no calls. */
export function supervisorPart(page: string): string {
  const families = familiesOf([page], new Map(), /^nodejs_/);
  return textOf(families);
}

function familiesOf(
  pages: Iterable<string>,
  from: ReadonlyMap<string, Family> = new Map(),
  leftOut: RegExp = OF_PROCESS,
): Map<string, Family> {
  const families = new Map(
    [...from].map(([name, family]) => [
      name,
      { ...family, about: new Set(family.about), samples: new Map(family.samples) },
    ]),
  );
  for (const page of pages) {
    let name = '';
    for (const line of page.split('\n')) {
      if (line === '') continue;
      const about = /^# (HELP|TYPE|MERGE) (\S+) ?(.*)/.exec(line);
      if (about !== null) name = about[2] ?? '';
      if (leftOut.test(name)) continue;
      let family = families.get(name);
      if (family === undefined)
        families.set(name, (family = { about: new Set(), type: 'untyped', merge: ruleOf(name), samples: new Map() }));
      const [, kind, , rest = ''] = about ?? [];
      if (kind === 'TYPE') family.type = rest;
      if (kind === 'MERGE') family.merge = BY_WORD[rest] ?? sum;
      const sample = about === null ? SAMPLE.exec(line) : null;
      if (sample === null) family.about.add(line);
      else {
        const [, series = '', value] = sample;
        const known = family.samples.get(series);
        family.samples.set(series, known === undefined ? numberOf(value) : family.merge(known, numberOf(value)));
      }
    }
  }
  return families;
}

const textOf = (families: ReadonlyMap<string, Family>): string =>
  [...families.values()]
    .flatMap(({ about, samples }) => [
      ...about,
      ...[...samples].map(([series, value]) => `${series} ${valueText(value)}`),
    ])
    .join('\n')
    .concat('\n');
const numberOf = (text: string | undefined): number =>
  text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
const valueText = (value: number): string =>
  value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
