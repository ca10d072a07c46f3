/** The numbers of one set of labels, and their lines in Prometheus' text format. */
import type { MetricConfig } from './config.ts';

export interface Series {
  /** Adds to a counter, sets a gauge, or is observed by a histogram. */
  update(value: number): void;
  text(): string;
}

/** For seconds; the defaults of Prometheus' client libraries. */
const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** `labels` as {@link labelsText} writes them. */
export function seriesOf(
  name: string,
  { kind, buckets = DEFAULT_BUCKETS }: Pick<MetricConfig, 'kind' | 'buckets'>,
  labels: string,
): Series {
  if (kind === 'histogram') return histogram(name, buckets, labels);
  const head = `${name}${labels === '' ? '' : `{${labels}}`} `;
  let total = 0;
  return {
    update:
      kind === 'counter'
        ? (value) => {
            total += value;
          }
        : (value) => {
            total = value;
          },
    text: () => `${head}${total}\n`,
  };
}

function histogram(name: string, bounds: readonly number[], labels: string): Series {
  const more = labels === '' ? '' : `,${labels}`;
  const set = labels === '' ? '' : `{${labels}}`;
  const counts = new Float64Array(bounds.length);
  let count = 0;
  let sum = 0;
  return {
    update(value) {
      count += 1;
      sum += value;
      const at = bounds.findIndex((bound) => value <= bound);
      if (at >= 0) counts[at] = (counts[at] ?? 0) + 1;
    },
    text() {
      let text = '';
      let below = 0;
      for (const [at, bound] of bounds.entries()) {
        below += counts[at] ?? 0;
        text += `${name}_bucket{le="${bound}"${more}} ${below}\n`;
      }
      return `${text}${name}_bucket{le="+Inf"${more}} ${count}\n${name}_sum${set} ${sum}\n${name}_count${set} ${count}\n`;
    },
  };
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['"', '\\"'],
  ['\n', '\\n'],
]);

/** `a="x",b="y"`. */
export const labelsText = (names: readonly string[], values: readonly string[]): string =>
  names
    .map((name, at) => `${name}="${(values[at] ?? '').replace(/[\\"\n]/g, (char) => ESCAPES.get(char) ?? char)}"`)
    .join(',');
