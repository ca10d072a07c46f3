/**
 * Metrics as a page for Prometheus, with the names and labels of a mapper (by default that of envoyproxy/ratelimit).
 * **In**: metrics. **Out**: the page, rendered in time slices, so that calls are answered in between. **Fails**: never.
 */
import { DEFAULT_MAPPER, type Mapper, plainName } from './metric-mapper.ts';
import type { RatelimitMetrics } from './metrics.ts';
import { histogramSamples, labelsText, sampleText } from '../../core/metrics/families.ts';
import { TimeSlice } from '../../time/time-slice.ts';

const RESPONSE_TIME = 'ratelimit_server.ShouldRateLimit.response_time';

type Kind = 'counter' | 'gauge';
/** The place of a path on the page; `undefined`: dropped. */
type Place = { readonly family: string; readonly labels: string } | undefined;

/** More than the possible number of names; the cache is emptied when it is reached. */
const MAX_PLACES = 100_000;

export class PrometheusPage {
  readonly #metrics: RatelimitMetrics;
  readonly #mapper: Mapper;
  /** Each path is mapped once, not for each page. */
  readonly #places = new Map<string, Place>();

  constructor(metrics: RatelimitMetrics, mapper: Mapper = DEFAULT_MAPPER) {
    this.#metrics = metrics;
    this.#mapper = mapper;
  }

  async text(): Promise<string> {
    const slice = new TimeSlice();
    const families = new Map<string, { readonly kind: Kind; readonly samples: Map<string, number> }>();
    const add = (kind: Kind, path: string, value: number): void => {
      const place = this.#placeOf(kind, path);
      if (place === undefined) return;
      const family = families.get(place.family) ?? { kind, samples: new Map<string, number>() };
      families.set(place.family, family);
      family.samples.set(place.labels, (family.samples.get(place.labels) ?? 0) + value);
    };
    for (const [path, value] of this.#metrics.counters()) {
      add('counter', path, value);
      if (slice.isOver) await slice.next();
    }
    for (const [path, read] of this.#metrics.gauges) add('gauge', path, read());
    let page = '';
    for (const [name, { kind, samples }] of families) {
      page += `# TYPE ${name} ${kind}\n`;
      for (const [labels, value] of samples) {
        page += `${name}${labels} ${value}\n`;
        if (slice.isOver) await slice.next();
      }
    }
    return page + responseTimes(this.#metrics, this.#mapper);
  }

  #placeOf(kind: Kind, path: string): Place {
    const known = this.#places.get(path);
    if (known !== undefined || this.#places.has(path)) return known;
    const mapped = this.#mapper(path, kind) ?? { family: plainName(path), labels: {} };
    const place = mapped === 'dropped' ? undefined : { family: mapped.family, labels: labelsText(mapped.labels) };
    if (this.#places.size >= MAX_PLACES) this.#places.clear();
    this.#places.set(path, place);
    return place;
  }
}

function responseTimes({ responseTimes: latency }: RatelimitMetrics, mapper: Mapper): string {
  const mapped = mapper(RESPONSE_TIME, 'observer') ?? { family: plainName(RESPONSE_TIME), labels: {} };
  if (mapped === 'dropped') return '';
  const { family, labels } = mapped;
  const lines = histogramSamples(labels, latency).map((sample) => sampleText(family, sample));
  return `# TYPE ${family} histogram\n${lines.join('')}`;
}
