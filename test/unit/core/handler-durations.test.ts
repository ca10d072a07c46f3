import { expect, test } from 'vitest';
import { allow } from '../../../src/adapters/contract.ts';
import { handlersPage } from '../../../src/admin/pages.ts';
import { CALL_BOUNDS_MS, HANDLER_BOUNDS_MS, Latency, quantileMs } from '../../../src/core/metrics/meters.ts';
import { engineOf, pause } from './engine-of.ts';

test('a quantile is interpolated in its bucket, and above the last bound it is that bound', () => {
  const latency = new Latency(CALL_BOUNDS_MS);
  expect(quantileMs(0.5, CALL_BOUNDS_MS, latency.buckets)).toBeUndefined();
  for (let call = 0; call < 10; call++) latency.add(1.5);
  expect(quantileMs(0.5, CALL_BOUNDS_MS, latency.buckets)).toBe(1.75);
  expect(quantileMs(1, CALL_BOUNDS_MS, latency.buckets)).toBe(2.5);
  for (let call = 0; call < 90; call++) latency.add(10_000);
  expect(quantileMs(0.99, CALL_BOUNDS_MS, latency.buckets)).toBe(250);
});

test('calls that wait are timed, by handler; those that are answered at once are not', async () => {
  const { engine, http } = await engineOf(
    `handlers:
  slow: { adapter: check-script, config: { script: slow } }
  fast: { adapter: check-script, config: { script: fast } }
rules:
  - { name: a, check: { handler: slow, input: { value: request.method } } }
  - { name: b, check: { handler: fast, input: { value: request.method } } }
`,
    {
      slow: {
        check: async () => {
          await pause(12);
          return allow();
        },
      },
      fast: { check: () => allow() },
    },
  );
  for (let call = 0; call < 3; call++) await http();
  const family = engine.families.find(({ name }) => name === 'sluice_handler_duration_seconds');
  const samples = [...(family?.read() ?? [])];
  const of = (handler: string, suffix: string): readonly number[] =>
    samples.filter((one) => one.labels['handler'] === handler && one.suffix === suffix).map(({ value }) => value);
  expect(of('slow', '_count')).toEqual([3]);
  expect(of('fast', '_count')).toEqual([0]);
  expect(of('slow', '_bucket')).toHaveLength(HANDLER_BOUNDS_MS.length + 1);
  expect(of('slow', '_sum')[0]).toBeGreaterThan(0.03);
  const { handlers } = handlersPage(undefined, engine.handlers()) as {
    readonly handlers: readonly { readonly name: string; readonly latency: Readonly<Record<string, number | null>> }[];
  };
  const latencyOf = (name: string): unknown => handlers.find((one) => one.name === name)?.latency;
  expect(latencyOf('fast')).toEqual({ count: 0, p50Ms: null, p99Ms: null });
  expect(latencyOf('slow')).toMatchObject({ count: 3 });
});
