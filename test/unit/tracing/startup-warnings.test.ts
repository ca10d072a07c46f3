import { afterEach, expect, test, vi } from 'vitest';
import { openExporter, withStartupWarnings } from '../../../src/tracing/exporter.ts';

afterEach(() => vi.unstubAllEnvs());

test('the warning of an invalid address of the collector names it without its password', async () => {
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://ann:s3c/r@t@[collector');
  const lines: string[] = [];
  const log = { warn: (message: string, fields: object = {}) => lines.push(`${message} ${JSON.stringify(fields)}`) };
  await (await withStartupWarnings(log, () => openExporter('http', log))).shutdown();
  expect(lines).toEqual([expect.stringMatching(/OTEL_.* invalid; .*'http:\/\/\*\*\*\*\*@\[collector'/)]);
});
