/**
 * Sluice's own metrics page.
 * **In**: families, each with a function that reads its numbers where they are kept. **Out**: Prometheus text format, in pieces.
 * **Fails**: if a family cannot be read; the admin port then answers 500.
 *
 * The numbers are plain fields where they are counted, since a call must not pay for labels; they become text here, when the page is
 * requested. The metrics of the process and of its runtime come from @prometheus-io/client.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type MetricFamily, sampleText } from '../core/metrics/families.ts';
import { processMetrics } from './process-metrics.ts';

export interface MetricsPage {
  pieces(): AsyncIterable<string>;
}

export function metricsPage(
  families: readonly MetricFamily[],
  plugins: () => AsyncIterable<string> = NO_PLUGINS,
): MetricsPage {
  const registry = processMetrics();
  return {
    async *pieces() {
      yield `${(await registry.metrics()).replaceAll(/\n{2,}/g, '\n').replaceAll(' Nan\n', ' NaN\n')}\n`;
      for (const piece of familiesText(families)) {
        yield piece;
        await nextTurn();
      }
      yield* plugins();
    },
  };
}

async function* NO_PLUGINS(): AsyncGenerator<string> {}

/** Samples in one piece, written in one turn of the event loop; there are several for each rule. */
const SAMPLES_PER_PIECE = 2000;

/** A page of these families only. */
export function* familiesText(families: readonly MetricFamily[]): Generator<string> {
  let piece = '';
  let samples = 0;
  for (const { kind, name, help, read } of families) {
    piece += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${kind}\n`;
    for (const sample of read()) {
      piece += sampleText(name, sample);
      if (++samples % SAMPLES_PER_PIECE !== 0) continue;
      yield piece;
      piece = '';
    }
  }
  yield piece;
}
