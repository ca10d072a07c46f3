/**
 * The page of a registry.
 * **In**: families. **Out**: Prometheus text format in pieces, with exemplars after the samples that have one. **Fails**: never.
 *
 * A page may have a million lines, and calls wait for the event loop: after each piece comes another turn of it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Exemplar, type Family, type Series, valuesOf } from '../metrics/registry.ts';

/** Characters of a piece; made in about a millisecond. */
const PIECE_LENGTH = 64 * 1024;

export async function* pageOf(families: readonly Family[]): AsyncGenerator<string> {
  let piece = '';
  for (const family of families) {
    const { name, help, kind, unit, merge } = family;
    piece += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${kind}\n`;
    if (unit !== undefined) piece += `# UNIT ${name} ${unit}\n`;
    if (merge !== undefined) piece += `# MERGE ${name} ${merge}\n`;
    for (const series of family.series()) {
      piece += kind === 'histogram' ? histogramLines(family, series) : sampleLine(family, series);
      if (piece.length < PIECE_LENGTH) continue;
      yield piece;
      piece = '';
      await nextTurn();
    }
  }
  yield piece;
}

function sampleLine(family: Family, series: Series): string {
  const labels = labelsOf(family, series);
  return `${family.name}${labels === '' ? '' : `{${labels}}`} ${series.value}${exemplarText(series.exemplars?.[0])}\n`;
}

function histogramLines(family: Family, series: Series): string {
  const { name, bounds = [] } = family;
  const { buckets = [], count, value: sum, exemplars } = series;
  const labels = labelsOf(family, series);
  const [more, set] = labels === '' ? ['', ''] : [`,${labels}`, `{${labels}}`];
  let lines = '';
  let below = 0;
  for (let at = 0; at < bounds.length; at++) {
    below += buckets[at] as number;
    lines += `${name}_bucket{le="${bounds[at]}"${more}} ${below}${exemplarText(exemplars?.[at])}\n`;
  }
  return `${lines}${name}_bucket{le="+Inf"${more}} ${count}${exemplarText(exemplars?.[bounds.length])}\n${name}_sum${set} ${sum}\n${name}_count${set} ${count}\n`;
}

/** Seconds; Prometheus drops an exemplar without a time. */
function exemplarText(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return '';
  const { traceId, spanId, value, timeMs } = exemplar;
  const labels = labelsText(['trace_id', 'span_id'], spanId === undefined ? [traceId] : [traceId, spanId]);
  return ` # {${labels}} ${value} ${timeMs / 1000}`;
}

function labelsOf({ labels }: Family, series: Series): string {
  return (series.labelsText ??= labels.length === 0 ? '' : labelsText(labels, valuesOf(series.key)));
}

const ESCAPED: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['"', '\\"'],
  ['\n', '\\n'],
]);

/** `a="x",b="y"`. */
const labelsText = (names: readonly string[], values: readonly string[]): string =>
  values
    .map((value, at) => `${names[at]}="${value.replace(/[\\"\n]/g, (char) => ESCAPED.get(char) ?? char)}"`)
    .join(',');
