/** envoy.service.metrics.v3.MetricsService: Envoy's statistics, a call for each sample. A {@link recordStream}. */
import type { Engine } from '../../core/call.ts';
import type { Method } from '../../transport/transport.ts';
import { type FrontendOptions, systemNowMs } from '../frontend-options.ts';
import { recordStream, type ScannedMessage } from '../record-stream.ts';
import { MetricsService } from '../../../gen/envoy/service/metrics/v3/metrics_service_pb.ts';
import { type Family, SampleScan, samplesOf, scanMetrics } from './sample-scan.ts';
import { SampleWire } from './sample-wire.ts';

export function metricsMethods(engine: Engine, options: FrontendOptions = {}): [path: string, method: Method][] {
  const { nowMs = systemNowMs } = options;

  function scan(bytes: Buffer): ScannedMessage {
    const { identifier, families } = scanMetrics(bytes);
    const samples = found(bytes, families);
    return {
      identifier,
      next(origin) {
        const { done, value } = samples.next();
        if (done === true) return false;
        const sample = new SampleScan(bytes, value.from, value.to);
        return engine.report('envoy-metric', new SampleWire(sample, value.family, origin, nowMs));
      },
    };
  }
  return [[`/${MetricsService.typeName}/StreamMetrics`, recordStream(engine, scan, options)]];
}

function* found(bytes: Buffer, families: readonly Family[]): Generator<{ family: Family; from: number; to: number }> {
  for (const family of families) for (const [from, to] of samplesOf(bytes, family)) yield { family, from, to };
}
