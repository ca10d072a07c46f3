/** How families of the metrics page are made. */
import type { MetricFamily, MetricSample } from './families.ts';

/** Samples; or one value without labels, `undefined` while there is none. */
type Read = () => Iterable<MetricSample> | number | undefined;

const family =
  (kind: 'counter' | 'gauge') =>
  (name: string, help: string, read: Read): MetricFamily => ({ kind, name, help, read: () => samplesOf(read()) });
export const counter = family('counter');
export const gauge = family('gauge');

const samplesOf = (read: ReturnType<Read>): Iterable<MetricSample> =>
  typeof read === 'number' ? [{ labels: {}, value: read }] : (read ?? []);

/** One for each value of a label. */
export const samples = (label: string, counts: Iterable<readonly [value: string, count: number]>): MetricSample[] =>
  [...counts].map(([of, value]) => ({ labels: { [label]: of }, value }));
