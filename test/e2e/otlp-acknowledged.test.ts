/** What an acknowledged export promises: records survive SIGKILL, and a full spool refuses what it cannot keep. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, type Metadata } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../src/adapters/testing/index.ts';
import { encodedLogs, startCollector } from '../parts/otlp-collector.ts';
import { type Serving, serving } from './command.ts';
import { until } from './sluice.ts';

const EXPORT = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
const PER_REQUEST = 50;

function folderFor(policy: string): { readonly folder: string; readonly file: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-otlp-ack-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, policy);
  return { folder, file };
}

interface Refused {
  readonly code: number;
  readonly metadata: Metadata;
}

/** `undefined`: acknowledged. */
const send = (client: Client, request: Buffer): Promise<Refused | undefined> =>
  new Promise((resolve) => {
    const same = (bytes: Buffer): Buffer => bytes;
    client.makeUnaryRequest(EXPORT, same, same, request, (error) =>
      resolve(error === null ? undefined : { code: error.code, metadata: error.metadata }),
    );
  });

const requestOf = (number: number, padding = ''): Buffer =>
  encodedLogs(Array.from({ length: PER_REQUEST }, (_, at) => ({ body: `${number * PER_REQUEST + at}${padding}` })));

const missingOf = (acknowledged: readonly number[], arrived: ReadonlySet<number>): number[] =>
  acknowledged.flatMap((request) =>
    Array.from({ length: PER_REQUEST }, (_, at) => request * PER_REQUEST + at).filter((one) => !arrived.has(one)),
  );

test('a server that is killed under load loses no acknowledged record', async () => {
  const { folder, file } = folderFor(`
settings: { spool: { folder: spool } }
handlers: { file: { adapter: log-file, config: { path: out.jsonl }, spool: disk, batch: { max: 50, maxAge: 20ms } } }
rules: [{ name: all, calls: [otlp-log], report: { handler: file, input: { body: log.body } } }]
`);
  const acknowledged: number[] = [];
  let next = 0;
  let running: Serving | undefined;
  onTestFinished(() => running?.signal('SIGKILL'));
  for (let round = 0; round < 3; round++) {
    running = await serving([file]);
    let isOver = false;
    const clients = Array.from({ length: 3 }, () => new Client(running?.grpc ?? '', credentials.createInsecure()));
    const senders = clients.map(async (client) => {
      while (!isOver) {
        const request = next++;
        if ((await send(client, requestOf(request))) === undefined) acknowledged.push(request);
        else await sleep(10);
      }
      client.close();
    });
    await sleep(200 + round * 131);
    if (round < 2) {
      running.signal('SIGKILL');
      await running.ended;
    }
    isOver = true;
    await Promise.all(senders);
  }
  expect(acknowledged.length).toBeGreaterThan(20);
  const inFile = (): Set<number> =>
    new Set(
      readFileSync(join(folder, 'out.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line.endsWith('}'))
        .map((line) => Number((JSON.parse(line) as { body: string }).body)),
    );
  await eventually(() => expect(missingOf(acknowledged, inFile())).toEqual([]));
  expect(await running?.stop()).toBe(0);
}, 60_000);

test('a full spool refuses with the time to come again; with room again every record arrives', async () => {
  const collector = await startCollector('http');
  onTestFinished(() => collector.stop());
  collector.answer = () => ({ status: 503 });
  const { file } = folderFor(`
settings: { spool: { folder: spool, maxBytes: 1MiB } }
handlers: { out: { adapter: log-otlp, config: { url: "${collector.url}" }, spool: disk } }
rules: [{ name: all, calls: [otlp-log], report: { handler: out, input: { body: log.body } } }]
`);
  const running = await serving([file]);
  onTestFinished(() => running.signal('SIGKILL'));
  const client = new Client(running.grpc, credentials.createInsecure());
  onTestFinished(() => client.close());
  const padding = ` ${'x'.repeat(400)}`;
  const acknowledged: number[] = [];
  let refused: Refused | undefined;
  for (let number = 0; refused === undefined && number < 1000; number++) {
    refused = await send(client, requestOf(number, padding));
    if (refused === undefined) acknowledged.push(number);
  }
  expect(refused?.code).toBe(8);
  const [details] = refused?.metadata.get('grpc-status-details-bin') ?? [];
  expect(String(details)).toContain('google.rpc.RetryInfo');
  expect(acknowledged.length).toBeGreaterThan(10);
  // Refused as a whole: nothing of it arrives until it is sent again.
  const again = acknowledged.length;
  collector.answer = () => ({});
  await until('room', async () => ((await send(client, requestOf(again, padding))) === undefined ? true : undefined));
  acknowledged.push(again);
  const arrived = (): number[] => collector.logs.map(({ body }) => Number.parseInt(String(body), 10));
  await eventually(() => expect(missingOf(acknowledged, new Set(arrived()))).toEqual([]));
  const sentOnce = arrived().filter((one) => Math.floor(one / PER_REQUEST) === again);
  expect(sentOnce).toHaveLength(PER_REQUEST);
  expect(await running.stop()).toBe(0);
}, 60_000);
