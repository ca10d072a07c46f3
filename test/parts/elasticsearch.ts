/** The bulk API of Elasticsearch 8, scripted. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

export interface BulkDocument {
  readonly index: string;
  readonly id: string;
  readonly source: Readonly<Record<string, unknown>>;
}
export interface BulkItem {
  readonly status: number;
  readonly error?: object;
}
export interface BulkAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The item of a document; default: created, or 409 for one that exists. */
  readonly item?: (document: BulkDocument, at: number) => BulkItem | undefined;
  readonly never?: boolean;
}

/** Answers bulk requests as the documentation of Elasticsearch 8 has it; Elasticsearch itself cannot be had here. */
export async function startElasticsearch(tls?: { readonly cert: Buffer; readonly key: Buffer }) {
  const documents = new Map<string, BulkDocument>();
  const requests: { readonly headers: IncomingHttpHeaders; readonly url: string; readonly documents: number }[] = [];
  const server = { answer: (_documents: readonly BulkDocument[]): BulkAnswer => ({}) };
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();
      if (!text.endsWith('\n')) throw new Error('a bulk request ends with a line feed');
      const lines = text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const sent = Array.from({ length: lines.length / 2 }, (_, at): BulkDocument => {
        const { _index, _id } = (lines[at * 2] as { create: { _index: string; _id: string } }).create;
        return { index: _index, id: _id, source: lines[at * 2 + 1] as BulkDocument['source'] };
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
