import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { makeAuthority } from '../../test/parts/certificates.ts';
import { startElasticsearch } from '../../test/parts/elasticsearch.ts';
import adapter from './adapter.ts';
import { indexNamer } from './index-name.ts';

type Server = Awaited<ReturnType<typeof startElasticsearch>>;

let shared: Server;
beforeAll(async () => {
  shared = await startElasticsearch();
});
afterAll(() => shared.stop());
let marks = 0;
testAdapter(adapter, {
  runner: { describe, test },
  config: () => ({ url: shared.url, index: `kit-${++marks}` }),
  unreachable: { url: 'http://127.0.0.1:1', index: 'a' },
  badConfigs: [
    { config: { url: 'http://a', index: 'Access' }, says: /lower-case letters/ },
    { config: { url: 'http://a', index: 'a-{YYYY}' }, says: /is not a date; write yyyy/ },
    { config: { url: 'http://a', index: 'a', username: 'u' }, says: /go together/ },
    { config: { url: 'http://a', index: 'a', apiKey: 'k', username: 'u', password: 'p' }, says: /give an API key, or/ },
    { config: { url: 'http://a', index: 'a', apiKey: 'k', headers: { Authorization: 'x' } }, says: /give one of them/ },
    { config: { url: 'https://a', index: 'a', tls: { ca: 'missing.pem' } }, says: /missing\.pem/ },
  ],
  report: {
    input: (at) => ({ path: `/ü/${at}`, code: at }),
    read: () =>
      [...shared.documents.values()]
        .filter(({ index }) => index === `kit-${marks}`)
        .map(({ source: { path, code } }) => ({ path, code })),
  },
});

async function opened(config: object = {}, given?: Server) {
  const server = given ?? (await startElasticsearch());
  const handler = await openForTest(adapter, { config: { url: server.url, index: 'access', ...config } });
  onTestFinished(async () => {
    await handler.close();
    await server.stop();
  });
  const entriesOf = (count: number, input: (at: number) => object = () => ({}), params: object = {}): ReportEntry[] => {
    const sink = handler.handler.sink?.({ rule: 'r', input: {}, params });
    return Array.from({ length: count }, (_, at) => ({
      sink,
      id: `id-${at}`,
      timeMs: Date.UTC(2026, 0, 5, 23, 59, 59) + at * 1000,
      input: { ...input(at) },
    }));
  };
  const write = async (entries: readonly ReportEntry[], remainingMs = 3000): Promise<void> => {
    await handler.handler.write?.(entries, testCall(remainingMs));
  };
  const ids = (): string[] => [...server.documents.values()].map(({ id }) => id);
  return { ...handler, server, entriesOf, write, ids };
}

test('a document has the time and fields of its report, in the index of its day', async () => {
  const { server, entriesOf, write } = await opened({ index: 'access-{yyyy.MM.dd}' });
  await write(entriesOf(2, (at) => ({ code: at, raw: Buffer.from('xyz'), absent: null })));
  expect([...server.documents.values()]).toEqual([
    {
      index: 'access-2026.01.05',
      id: 'id-0',
      source: { '@timestamp': '2026-01-05T23:59:59.000Z', code: 0, raw: 'eHl6', absent: null },
    },
    {
      index: 'access-2026.01.06',
      id: 'id-1',
      source: { '@timestamp': '2026-01-06T00:00:00.000Z', code: 1, raw: 'eHl6', absent: null },
    },
  ]);
  expect(server.requests).toMatchObject([
    { url: expect.stringMatching(/^\/_bulk\?/) as string, headers: { 'content-type': 'application/x-ndjson' } },
  ]);
  expect(server.requests[0]?.headers['content-encoding']).toBe('gzip');
});

test('a rule may have its own index, and dates have hours', async () => {
  const { server, entriesOf, write } = await opened();
  await write(entriesOf(1, undefined, { index: 'denials' }));
  expect([...server.documents.keys()]).toEqual(['denials id-0']);
  expect(indexNamer('a-{yyyy}-{MM-dd.HH}')(Date.UTC(2026, 0, 5, 7))).toBe('a-2026-01-05.07');
});

test.each([
  [{ apiKey: 'a2V5' }, 'ApiKey a2V5'],
  [{ username: 'ann', password: 'sesame' }, `Basic ${Buffer.from('ann:sesame').toString('base64')}`],
])('with %j, requests are authorized', async (config, authorization) => {
  const { server, entriesOf, write } = await opened({ ...config, compression: 'none' });
  await write(entriesOf(1));
  expect(server.requests[0]?.headers).toMatchObject({ authorization });
  expect(server.requests[0]?.headers['content-encoding']).toBeUndefined();
});

test('documents that Elasticsearch is too busy for are sent again, the others not', async () => {
  const { server, entriesOf, write, ids } = await opened();
  const entries = entriesOf(6);
  server.answer = () => ({
    item: (_, at) =>
      at % 2 === 1
        ? { status: 429, error: { type: 'es_rejected_execution_exception', reason: 'queue is full' } }
        : undefined,
  });
  const error: unknown = await write(entries).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error).toMatchObject({
    message: expect.stringMatching(/access answered 429: es_rejected.*queue is full/) as string,
  });
  server.answer = () => ({});
  await write(entries);
  expect(server.requests.map(({ documents }) => documents)).toEqual([6, 3]);
  expect(ids().toSorted()).toEqual(entries.map(({ id }) => id));
});

test('documents that do not fit the mapping are refused by their place, also if others are retried first', async () => {
  const { server, entriesOf, write, ids } = await opened();
  const wrong = { status: 400, error: { type: 'document_parsing_exception', reason: 'failed to parse field [code]' } };
  server.answer = () => ({ item: (_, at) => (at === 2 ? wrong : at === 3 ? { status: 503 } : undefined) });
  await expect(write(entriesOf(5))).rejects.toBeInstanceOf(Unavailable);
  server.answer = () => ({ item: ({ id }) => (id === 'id-2' ? wrong : undefined) });
  const error: unknown = await write(entriesOf(5)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Rejected);
  expect(error).toMatchObject({ entries: [2], message: expect.stringMatching(/failed to parse field/) as string });
  expect(ids().toSorted()).toEqual(['id-0', 'id-1', 'id-3', 'id-4']);
});

test.each([
  [403, 'cluster_block_exception', 'index [access] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)]'],
  [404, 'index_not_found_exception', 'no such index [access]'],
])('a document answered with %i, which an operator can mend, is retried', async (status, type, reason) => {
  const { server, entriesOf, write, ids } = await opened();
  server.answer = () => ({ item: () => ({ status, error: { type, reason } }) });
  const error: unknown = await write(entriesOf(2)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error).toMatchObject({ message: expect.stringContaining(`${type}: ${reason}`) as string });
  server.answer = () => ({});
  await write(entriesOf(2));
  expect(ids()).toEqual(['id-0', 'id-1']);
});

test('a batch whose answer was lost is sent again, and is there once', async () => {
  const { server, entriesOf, write, ids } = await opened();
  const other = await opened({}, server);
  await write(entriesOf(4));
  await other.write(other.entriesOf(4)); // another process, which knows nothing of the first attempt
  expect(ids()).toEqual(['id-0', 'id-1', 'id-2', 'id-3']);
});

test.each([
  [{ status: 429, headers: { 'retry-after': '7' } }, 7000, /it answered 429/],
  [{ status: 503 }, 0, /it answered 503/],
  [{ status: 401 }, 0, /it answered 401.*check url and headers/],
  [{ body: 'not JSON' }, 0, /has not an item for each document/],
  [{ body: '{"errors":false,"items":[]}' }, 0, /has not an item for each document/],
] as const)('an answer of %j is retried', async (answer, retryAfterMs, says) => {
  const { server, entriesOf, write } = await opened();
  server.answer = () => answer;
  const error: unknown = await write(entriesOf(2)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error).toMatchObject({ retryAfterMs, message: expect.stringMatching(says) as string });
});

test('an answer of 400 refuses the batch', async () => {
  const { server, entriesOf, write } = await opened();
  server.answer = () => ({ status: 400 });
  await expect(write(entriesOf(2))).rejects.toMatchObject({ name: 'Rejected', entries: [0, 1] });
});

test('requests are divided by size, halved if the server finds them too large, and a larger document is refused alone', async () => {
  const { server, entriesOf, write, ids } = await opened({ maxRequestBytes: 5000 });
  server.answer = (documents) => (documents.length > 2 ? { status: 413 } : {});
  await expect(write(entriesOf(20, (at) => ({ text: 'x'.repeat(at === 7 ? 6000 : 800) })))).rejects.toMatchObject({
    name: 'Rejected',
    entries: [7],
  });
  expect(ids().length).toBe(19);
  expect(Math.max(...server.requests.map(({ documents }) => documents))).toBeLessThanOrEqual(5);
});

test('requests are halved if the answer is longer than is read; documents that were written are not refused', async () => {
  const { server, entriesOf, write, ids } = await opened();
  server.answer = (documents) => {
    if (documents.length <= 2) return {};
    for (const one of documents) server.documents.set(`${one.index} ${one.id}`, one);
    return { body: ' '.repeat(17 * 1024 * 1024) };
  };
  await write(entriesOf(5));
  expect(ids().length).toBe(5);
});

test('a server that hangs delays a write by its deadline', async () => {
  const { server, entriesOf, write } = await opened();
  server.answer = () => ({ never: true });
  await expect(write(entriesOf(1), 200)).rejects.toBeInstanceOf(Unavailable);
});

test('documents go over TLS to a server of a trusted authority alone', async () => {
  const authority = await makeAuthority();
  onTestFinished(() => authority.remove());
  const { cert, key } = await authority.issue('server', 'IP:127.0.0.1');
  const server = await startElasticsearch({ cert: await readFile(cert), key: await readFile(key) });
  const trusting = await opened({ tls: { ca: authority.ca } }, server);
  await trusting.write(trusting.entriesOf(2));
  expect(trusting.ids()).toEqual(['id-0', 'id-1']);
  const wary = await openForTest(adapter, { config: { url: server.url, index: 'a' } });
  onTestFinished(() => wary.close());
  const sink = wary.handler.sink?.({ rule: 'r', input: {}, params: {} });
  await expect(
    (async () => wary.handler.write?.([{ sink, id: 'x', timeMs: 0, input: {} }], testCall(2000)))(),
  ).rejects.toBeInstanceOf(Unavailable);
});
