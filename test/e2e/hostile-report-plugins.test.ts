/** Servers of report handlers that do what they should not: others are served, memory is bounded, and each report is accounted for. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  HandleRequestSchema,
  HandleResponseSchema,
  Plugin,
  DescribeResponseSchema,
} from '../../gen/sluice/plugin/v1/plugin_pb.ts';
import { defineAdapter } from '../../src/adapters/contract.ts';
import { describe as describeAdapters, descriptionText } from '../../src/adapters/remote/description.ts';
import { listen, type StreamHandler } from '../../src/transport/index.ts';
import { burstOfChecks } from '../parts/burst.ts';
import { serveSluice, type ServedSluice, until } from './sluice.ts';

const CALLS = 2000;
/** Reports that wait for one handler at most. */
const MAX_WAITING = 10_000;

const adapter = defineAdapter({
  name: 'log-hostile',
  summary: 'For this test.',
  config: z.strictObject({}),
  serves: { report: { input: 'any', batch: { max: 100, maxAgeMs: 20 } } },
  open: async () => ({ sink: () => 1, write: () => undefined }),
});
const DESCRIPTION = describeAdapters([adapter], 'hostile 1.0');

const reply = (...kinds: readonly object[]): Uint8Array =>
  toBinary(HandleResponseSchema, create(HandleResponseSchema, { messages: kinds.map((kind) => ({ kind })) } as never));
const done = (number: bigint): object => ({ case: 'done', value: { number } });

/** What it answers to the nth write; `end`: it ends the stream. Those of answered writes are kept. */
type Answer = (number: bigint, nth: number) => Promise<Uint8Array | undefined | 'end'>;

interface Hostile {
  readonly served: ServedSluice;
  /** Ids of entries that it took, by its own account. */
  readonly taken: Set<string>;
  readonly metric: (name: string) => Promise<number>;
  /** Lines about the handler that are more than news. */
  readonly lines: () => readonly string[];
}

async function hostile(answer: Answer, isTaken: (nth: number) => boolean = () => true): Promise<Hostile> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-hostile-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const taken = new Set<string>();
  let writes = 0;
  const handle: StreamHandler = async function* handle(requests) {
    for await (const bytes of requests)
      for (const { kind } of fromBinary(HandleRequestSchema, bytes).messages) {
        if (kind.case === 'open') yield reply({ case: 'opened', value: {} });
        if (kind.case === 'prepare') yield reply({ case: 'prepared', value: { slot: kind.value.slot } });
        if (kind.case === 'ping') yield reply({ case: 'pong', value: {} });
        if (kind.case === 'close') yield reply({ case: 'closed', value: {} });
        if (kind.case !== 'write') continue;
        const nth = writes++;
        const said = await answer(kind.value.call?.number ?? 0n, nth);
        if (isTaken(nth)) for (const { id } of kind.value.entries) taken.add(id);
        if (said === 'end') return;
        if (said !== undefined) yield said;
      }
  };
  const server = await listen(
    new Map([
      [`/${Plugin.typeName}/Describe`, { kind: 'unary', handle: () => toBinary(DescribeResponseSchema, DESCRIPTION) }],
      [`/${Plugin.typeName}/Handle`, { kind: 'stream', handle }],
    ]),
    { host: `unix:${join(folder, 'p.sock')}`, port: 0, maxMessageBytes: 8 << 20, onFault: () => undefined },
  );
  onTestFinished(() => server.drain(0));
  writeFileSync(join(folder, 'hostile.plugin.json'), descriptionText(DESCRIPTION));
  const served = await serveSluice(`
plugins: ["${join(folder, 'hostile.plugin.json')}"]
handlers:
  bad: { adapter: log-hostile, run: { dial: "unix:${join(folder, 'p.sock')}" }, deadline: 500ms }
  good: { adapter: log-stdout }
rules:
  - { name: to-bad, calls: [http], report: { handler: bad, input: { id: 'request.headers["x-request-id"]' } } }
  - { name: to-good, calls: [http], report: { handler: good, input: { id: 'request.headers["x-request-id"]' } } }
`);
  onTestFinished(async () => {
    await served.stop('SIGKILL');
  });
  const metric = async (name: string): Promise<number> => {
    const page = await (await served.admin('/metrics')).text();
    const values = [...page.matchAll(new RegExp(`^${name}\\{[^}]*(?:bad)[^}]*\\} (\\S+)$`, 'gm'))];
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
  };
  const lines = (): readonly string[] => served.log.filter((line) => /^\S+ (?:warn|error) .*(?:\bbad\b)/.test(line));
  return { served, taken, metric, lines };
}

/** Checks pass and the other handler has all of them, whatever happens. */
async function burst({ served }: Hostile, bursts = 1): Promise<void> {
  for (let n = 1; n <= bursts; n++) {
    const result = await burstOfChecks(served.grpcPort, 'ann', { calls: CALLS, timeoutMs: 60_000 });
    expect(result).toEqual({ passed: CALLS, refused: 0, failed: {} });
    await until('the other handler', () => (served.written.length >= n * CALLS ? true : undefined), 60_000);
  }
}

async function written(one: Hostile, count: number): Promise<void> {
  const name = 'sluice_handler_reports_written_total';
  await until(`${count} written`, async () => ((await one.metric(name)) >= count ? true : undefined), 60_000);
  expect(await one.metric(name)).toBe(count);
  expect(one.taken.size).toBe(count);
}

test('that never answers: reports wait within a bound, the rest is counted, and so is what is lost at the end', async () => {
  const one = await hostile(async () => undefined);
  await burst(one, 7);
  const queued = await one.metric('sluice_handler_queued_reports');
  const dropped = await one.metric('sluice_rule_dropped_reports_total');
  expect(queued).toBeLessThanOrEqual(MAX_WAITING);
  expect(queued + dropped).toBe(7 * CALLS);
  await until('a retry', async () =>
    (await one.metric('sluice_handler_reports_retried_total')) > 0 ? true : undefined,
  );
  const { served } = one;
  await served.stop();
  const lost = served.log.filter((line) => line.includes('reports lost'));
  expect(lost).toHaveLength(1);
  expect(lost[0]).toContain(` entries=${queued} `);
  // Once a minute each: dropped reports, a sink that does not take, and the end.
  expect(one.lines().length).toBeGreaterThan(1);
  expect(one.lines().length, one.lines().join('\n')).toBeLessThanOrEqual(5);
});

test('that answers slowly has all of them', async () => {
  const one = await hostile(async (number) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return reply(done(number));
  });
  await burst(one);
  await written(one, CALLS);
  expect(one.lines()).toEqual([]);
});

test('that answers with 5 MiB loses its stream, and has all of them when it answers well', async () => {
  const isBad = (nth: number): boolean => nth < 3;
  const one = await hostile(
    async (number, nth) => (isBad(nth) ? new Uint8Array(5 << 20) : reply(done(number))),
    (nth) => !isBad(nth),
  );
  await burst(one);
  await written(one, CALLS);
  expect(one.lines().length).toBeLessThanOrEqual(4);
  expect(one.lines().join('\n')).toMatch(/RESOURCE_EXHAUSTED/);
});

test('that answers by numbers of no call: the batch is late and is written again', async () => {
  const isBad = (nth: number): boolean => nth < 2;
  const one = await hostile(
    async (number, nth) => reply(done(isBad(nth) ? number + 1_000_000n : number)),
    (nth) => !isBad(nth),
  );
  await burst(one);
  await written(one, CALLS);
  expect(await one.metric('sluice_plugin_ignored_answers_total')).toBe(2);
  expect(one.lines().length).toBeLessThanOrEqual(2);
});

test('that ends the stream in the middle of a batch, three times, has each report once by its id', async () => {
  const isBad = (nth: number): boolean => nth % 2 === 0 && nth < 6;
  const one = await hostile(
    async (number, nth) => (isBad(nth) ? 'end' : reply(done(number))),
    (nth) => !isBad(nth),
  );
  await burst(one);
  await written(one, CALLS);
  expect(one.lines().length).toBeLessThanOrEqual(4);
});

test('that acknowledges more than it was sent: what is written is counted once', async () => {
  const one = await hostile(async (number) =>
    reply(done(number), done(number), ...Array.from({ length: 5 }, (_, n) => done(number + BigInt(100 + n)))),
  );
  await burst(one);
  await written(one, CALLS);
  expect(await one.metric('sluice_plugin_ignored_answers_total')).toBeGreaterThan(100);
  expect(one.lines()).toEqual([]);
});
