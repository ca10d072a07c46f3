/** The statistics of a real Envoy, by its metrics service sink, as metrics of a policy. */
import { expect, onTestFinished, test } from 'vitest';
import { startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { logEnvoyConfig } from '../parts/log-envoy-config.ts';
import { serveSluice, until } from './sluice.ts';

const POLICY = `
handlers:
  counts:
    adapter: metrics-prometheus
    config:
      metrics:
        envoy_requests_total: { kind: counter, labels: [zone, prefix] }
        envoy_connections: { kind: gauge, labels: [prefix] }
  lines: { adapter: log-stdout, config: {} }
rules:
  - name: requests
    calls: [envoy-metric]
    match: metric.name == "http.downstream_rq_total" && metric.type == "counter"
    report:
      handler: counts
      params: { metric: envoy_requests_total }
      input: { value: metric.value, labels: { zone: context.node.cluster, prefix: 'metric.labels["envoy.http_conn_manager_prefix"]' } }
  - name: connections
    calls: [envoy-metric]
    match: metric.name == "http.downstream_cx_active" && metric.type == "gauge"
    report:
      handler: counts
      params: { metric: envoy_connections }
      input: { value: metric.value, labels: { prefix: 'metric.labels["envoy.http_conn_manager_prefix"]' } }
  - name: latencies
    calls: [envoy-metric]
    match: metric.name == "http.downstream_rq_time" && has(metric.count) && metric.count > 0
    report: { handler: lines, input: { type: metric.type, count: metric.count, sum: metric.sum, median: 'metric.?quantiles["0.5"].orValue(-1.0)', all: 'metric.?buckets["+Inf"].orValue(-1)' } }
`;

test('counters are counted, across streams that are ended for their age, and histograms have their parts', async () => {
  await using sluice = await serveSluice(POLICY, { args: ['--max-stream-age', '1'] });
  onTestFinished(async () => {
    await sluice.stop();
  });
  const [adminPort, httpPort] = [await freePort(), await freePort()];
  const config = logEnvoyConfig({
    adminPort,
    httpPort,
    sluicePorts: [sluice.grpcPort],
    accessLog: [],
    statsSinks: [
      {
        name: 'envoy.stat_sinks.metrics_service',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig',
          transport_api_version: 'V3',
          grpc_service: { envoy_grpc: { cluster_name: 'sluice' } },
          report_counters_as_deltas: true,
          emit_tags_as_labels: true,
        },
      },
    ],
  });
  const envoy = await startEnvoy({ config, adminPort });
  onTestFinished(() => envoy.stop());

  let sent = 0;
  const endsAt = Date.now() + 1500; // a stream ends meanwhile
  while (Date.now() < endsAt) {
    await (await fetch(`http://127.0.0.1:${httpPort}/${sent}`)).text();
    sent++;
  }
  const counted = async (): Promise<number> => {
    const page = await (await sluice.admin('/metrics')).text();
    return Number(/^envoy_requests_total\{zone="edge",prefix="in"\} (\S+)$/m.exec(page)?.[1] ?? 0);
  };
  await until('every request is counted', async () => ((await counted()) >= sent ? true : undefined));
  expect(await counted()).toBe(sent);
  const page = await (await sluice.admin('/metrics')).text();
  expect(page).toMatch(/^envoy_connections\{prefix="in"\} [1-9]/m);
  expect(page).toMatch(/^sluice_log_entries_refused_total 0$/m);
  const types = new Set(sluice.written.map(({ type }) => type));
  expect(types).toEqual(new Set(['summary', 'histogram']));
  for (const { type, count, sum, median, all } of sluice.written) {
    expect(Number(count)).toBeGreaterThan(0);
    expect(Number(sum)).toBeGreaterThanOrEqual(0);
    if (type === 'summary') expect(Number(median)).toBeGreaterThanOrEqual(0);
    else expect(Number(all)).toBeLessThanOrEqual(Number(count));
  }
}, 60_000);
