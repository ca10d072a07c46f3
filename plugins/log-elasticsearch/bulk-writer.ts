/**
 * Batches as bulk requests of `create` operations.
 * **In**: reports. **Out**: all of them documents; one that is sent again is answered with 409, and counts as written. **Fails**: with
 * `Unavailable` (the batch is sent again, without the documents that were written) or `Rejected` with the indexes of the refused ones.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type Call, type Host, Rejected, type ReportEntry, Unavailable } from 'sluice/plugin';
import { OrderedBatches } from '../batches/ordered-batches.ts';
import { openClient } from '../http/client.ts';
import { notTaken, type NotTaken } from '../http/write-answer.ts';
import { reportJson } from '../values/json.ts';
import type { ElasticsearchConfig, IndexSink } from './adapter.ts';

export interface BulkWriter {
  write(entries: readonly ReportEntry<IndexSink>[], call: Call): Promise<void>;
  close(): Promise<void>;
}

/** An operation and its document, with the report's place in the batch. */
interface Operation {
  readonly index: number;
  readonly id: string;
  readonly target: string;
  readonly lines: string;
  readonly bytes: number;
}
interface Item {
  readonly status?: number;
  readonly error?: { readonly type?: string; readonly reason?: string };
}

/** Answers have an item for each document; this leaves what is read of them. */
const QUERY = '?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason';
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const CONNECTIONS = 2;
const GZIP_LEVEL = 1;
/** Of one document: it exists already, as an earlier attempt wrote it. */
const CONFLICT = 409;
/** 403 is an index that a full disk made read-only, or a missing privilege, 404 a missing index: an operator can mend these. */
const RETRIED_ITEMS = new Set([403, 404, 429, 502, 503, 504]);
const compressed = promisify(gzip) as (text: string, options: { level: number }) => Promise<Buffer>;

export async function openBulkWriter(config: ElasticsearchConfig, host: Host): Promise<BulkWriter> {
  const { url, compression, maxRequestBytes } = config;
  const client = await openClient({ ...config, connections: CONNECTIONS }, host);
  const batches = new OrderedBatches();
  const base = new URL(url);
  const path = `${base.pathname.replace(/\/$/, '')}/_bulk${QUERY}`;
  const isGzip = compression === 'gzip';
  const headers = [
    ...Object.entries(config.headers).flat(),
    'content-type',
    'application/x-ndjson',
    ...(isGzip ? ['content-encoding', 'gzip'] : []),
    ...authorizationOf(config),
  ];

  async function post(operations: readonly Operation[], call: Call): Promise<Reply> {
    const text = operations.map(({ lines }) => lines).join('');
    const body = isGzip ? await compressed(text, { level: GZIP_LEVEL }) : Buffer.from(text);
    const bounds = { maxBodyBytes: MAX_ANSWER_BYTES, cutsBody: true, signal: call.signal };
    const answer = await client.ask({ method: 'POST', path, headers, body }, bounds);
    const failure = notTaken(answer, host.clock.nowMs());
    if (failure !== undefined) return failure;
    // Halves have shorter answers; documents that were written are answered with 409.
    if (answer.isCut === true) return { kind: 'too-large', why: `its answer has more than ${MAX_ANSWER_BYTES} bytes` };
    const items = itemsOf(answer.body, operations.length);
    return items === undefined
      ? { kind: 'later', why: 'its answer to a bulk request has not an item for each document', retryAfterMs: 0 }
      : { kind: 'items', items };
  }

  async function write(entries: readonly ReportEntry<IndexSink>[], written: Set<string>, call: Call): Promise<void> {
    const refused: number[] = [];
    let why = '';
    let busy: string | undefined;
    const refuse = (operations: readonly Operation[], reason: string): void => {
      refused.push(...operations.map(({ index }) => index));
      why ||= `${base.host}: ${reason}`;
    };
    const operations = entries.map(operationOf).filter(({ id }) => !written.has(id));
    const [large, sent] = [operations.filter(isLarge), operations.filter((one) => !isLarge(one))];
    if (large.length > 0) refuse(large, `a document is larger than maxRequestBytes (${maxRequestBytes})`);
    const requests = requestsOf(sent, maxRequestBytes);
    for (let request = requests.shift(); request !== undefined; request = requests.shift()) {
      const reply = await post(request, call);
      switch (reply.kind) {
        case 'items':
          for (const [at, operation] of request.entries()) {
            const { status = 0, error } = reply.items[at] as Item;
            const reason = `${operation.target} answered ${status}: ${error?.type ?? ''}: ${error?.reason ?? ''}`;
            if ((status >= 200 && status < 300) || status === CONFLICT) written.add(operation.id);
            else if (RETRIED_ITEMS.has(status)) busy ??= reason;
            else refuse([operation], reason);
          }
          break;
        case 'later':
          throw new Unavailable(`${base.host}: ${reply.why}`, reply.retryAfterMs);
        case 'too-large':
          if (request.length === 1) refuse(request, reply.why);
          else requests.unshift(request.slice(0, request.length / 2), request.slice(request.length / 2));
          break;
        case 'rejected':
          refuse(request, reply.why);
      }
    }
    // The retry sends the refused ones again, too, and then reports them.
    if (busy !== undefined) throw new Unavailable(`${base.host}: ${busy}`, 0);
    if (refused.length > 0)
      throw new Rejected(
        why,
        refused.toSorted((a, b) => a - b),
      );
  }

  const isLarge = ({ bytes }: Operation): boolean => bytes > maxRequestBytes;
  return {
    write: (entries, call) => batches.run(entries, (batch, written) => write(batch, written, call)),
    close: () => client.close(),
  };
}

type Reply = { readonly kind: 'items'; readonly items: readonly Item[] } | NotTaken;

function operationOf({ sink, id, timeMs, input }: ReportEntry<IndexSink>, index: number): Operation {
  const target = sink(timeMs);
  const document = reportJson({ '@timestamp': new Date(timeMs).toISOString(), ...input });
  const lines = `${JSON.stringify({ create: { _index: target, _id: id } })}\n${document}\n`;
  return { index, id, target, lines, bytes: Buffer.byteLength(lines) };
}

function requestsOf(operations: readonly Operation[], maxBytes: number): Operation[][] {
  const requests: Operation[][] = [];
  let bytes = Infinity;
  for (const operation of operations) {
    bytes += operation.bytes;
    if (bytes > maxBytes) {
      requests.push([]);
      ({ bytes } = operation);
    }
    requests.at(-1)?.push(operation);
  }
  return requests;
}

/** One for each document, in their order; `undefined` if the body is none of a bulk request. */
function itemsOf(body: Buffer, count: number): readonly Item[] | undefined {
  try {
    const { items } = JSON.parse(body.toString()) as { items?: readonly { create?: Item }[] };
    const read = items?.map(({ create }) => create);
    return read?.length === count && read.every((item) => typeof item?.status === 'number')
      ? (read as Item[])
      : undefined;
  } catch {
    return undefined;
  }
}

function authorizationOf({ apiKey, username, password }: ElasticsearchConfig): string[] {
  if (apiKey !== undefined) return ['authorization', `ApiKey ${apiKey}`];
  if (username === undefined) return [];
  return ['authorization', `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`];
}
