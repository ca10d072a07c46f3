import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Rejected, type ReportEntry, Unavailable } from 'sluice/plugin';
import { openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import { makeAuthority } from '../../test/parts/certificates.ts';
import adapter from './adapter.ts';
import { indexNamer } from './index-name.ts';

interface Document {
  readonly index: string;
  readonly id: string;
  readonly source: Readonly<Record<string, unknown>>;
}
interface Item {
  readonly status: number;
  readonly error?: object;
}
interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The item of a document; default: created, or 409 for one that exists. */
  readonly item?: (document: Document, at: number) => Item | undefined;
  readonly never?: boolean;
}

/** Answers bulk requests as the documentation of Elasticsearch 8 has it; Elasticsearch itself cannot be had here. */
async function startServer(tls?: { readonly cert: Buffer; readonly key: Buffer }) {
  const documents = new Map<string, Document>();
  const requests: { readonly headers: IncomingHttpHeaders; readonly url: string; readonly documents: number }[] = [];
  const server = { answer: (_documents: readonly Document[]): Answer => ({}) };
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();
      expect(text.endsWith('\n')).toBe(true);
      const lines = text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const sent = Array.from({ length: lines.length / 2 }, (_, at): Document => {
        const { _index, _id } = (lines[at * 2] as { create: { _index: string; _id: string } }).create;
        return { index: _index, id: _id, source: lines[at * 2 + 1] as Document['source'] };
      });
      requests.push({ headers: request.headers, url: request.url ?? '', documents: sent.length });
      const { status = 200, headers = {}, body: given, item, never = false } = server.answer(sent);
      if (never) return;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      if (status !== 200 || given !== undefined) return void response.end(given ?? '{"error":"no"}');
      const items = sent.map((document, at) => {
        const key = `${document.index} ${document.id}`;
        const other = item?.(document, at);
        if (other !== undefined) return { create: other };
        if (documents.has(key))
          return { create: { status: 409, error: { type: 'version_conflict_engine_exception', reason: 'exists' } } };
        documents.set(key, document);
        return { create: { status: 201 } };
      });
      response.end(JSON.stringify({ errors: items.some(({ create }) => create.status > 299), items }));
    });
  };
  const http = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const stop = async (): Promise<void> => {
    const closed = once(http, 'close');
    http.close();
    http.closeAllConnections();
    await closed;
  };
  return Object.assign(server, { documents, requests, url, stop });
}
type Server = Awaited<ReturnType<typeof startServer>>;

let shared: Server;
beforeAll(async () => {
  shared = await startServer();
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
  const server = given ?? (await startServer());
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

test('a server that hangs delays a write by its deadline', async () => {
  const { server, entriesOf, write } = await opened();
  server.answer = () => ({ never: true });
  await expect(write(entriesOf(1), 200)).rejects.toBeInstanceOf(Unavailable);
});

test('documents go over TLS to a server of a trusted authority alone', async () => {
  const authority = await makeAuthority();
  onTestFinished(() => authority.remove());
  const { cert, key } = await authority.issue('server', 'IP:127.0.0.1');
  const server = await startServer({ cert: await readFile(cert), key: await readFile(key) });
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
