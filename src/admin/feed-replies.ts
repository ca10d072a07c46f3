/**
 * Streams of decided calls.
 * **In**: filters, or how much to record, in the query. **Out**: `/verdicts/stream`, server-sent events, and `/record`, a file of recorded
 * calls. **Fails**: with 400 for a query, 403 for a page of another origin, 503 while {@link MAX_READERS} read.
 *
 * A reader that does not read is asked for nothing, and disconnected after {@link STALLED_MS}.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { firstLine } from '../traffic/format.ts';
import { isFromOtherPage, mayChange, OTHER_PAGE_REFUSED, RECORD_REFUSED } from './change-access.ts';
import type { AdminSources, FeedOptions, FeedPart } from './sources.ts';
import type { Query } from './http-app.ts';
import { STREAM_FILTERS, unknownRule, verdictFilter } from './verdicts.ts';

const MAX_READERS = 8;
/** Pause between two requests for the calls of a feed; well below its lease. */
const EVERY_MS = 200;
/** A sign of life, so that proxies and this server notice a reader that has gone. */
const SILENT_MS = 15_000;
const STALLED_MS = 60_000;
/** For streams to end at the drain. */
const END_MS = 500;

interface Format {
  readonly contentType: string;
  readonly first: string;
  readonly line: (line: string) => string;
  /** Of calls that were left out; null if their number is not known. */
  readonly skipped: (count: number | null) => string;
  readonly signOfLife: string;
  /** The stream ends with the line that reaches it. */
  readonly maxBytes: number;
}

const EVENTS: Format = {
  contentType: 'text/event-stream; charset=utf-8',
  first: ': decided calls as they happen\n\n',
  line: (line) => `event: verdict\ndata: ${line}\n\n`,
  skipped: (count) => `event: skipped\ndata: ${JSON.stringify({ count })}\n\n`,
  signOfLife: ': \n\n',
  maxBytes: Infinity,
};

/** A first line may stand again at any place. */
const fileOfCalls = (maxBytes: number): Format => ({
  contentType: 'application/x-ndjson; charset=utf-8',
  first: `${firstLine(Date.now())}\n`,
  line: (line) => `${line}\n`,
  skipped: (count) => `${firstLine(Date.now(), count)}\n`,
  signOfLife: '\n',
  maxBytes,
});

export function addFeeds(app: FastifyInstance, sources: AdminSources): void {
  const readers = new Set<Promise<void>>();
  const ending = new AbortController();

  app.get<{ Querystring: Query }>('/verdicts/stream', async (request, reply) => {
    if (isFromOtherPage(request)) return reply.code(403).send(OTHER_PAGE_REFUSED);
    const filter = verdictFilter(request.query, STREAM_FILTERS);
    if ('wrong' in filter) return reply.code(400).send({ error: filter.wrong });
    const unknown = unknownRule(filter, [], sources.policy());
    if (unknown !== undefined) return reply.code(400).send({ error: unknown });
    return stream({ kind: 'live', filter }, EVENTS, request, reply);
  });

  app.get<{ Querystring: Query }>('/record', async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(RECORD_REFUSED);
    const asked = recordOptions(request.query);
    if ('wrong' in asked) return reply.code(400).send({ error: asked.wrong });
    const { share, bodies, maxBytes } = asked;
    return stream({ kind: 'record', share, bodies }, fileOfCalls(maxBytes), request, reply);
  });

  function stream(options: FeedOptions, format: Format, { raw }: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (readers.size >= MAX_READERS)
      return reply.code(503).send({ error: `${MAX_READERS} readers are attached; close one of them` });
    const body = Readable.from(textsOf(options, format, sources, ending.signal), { objectMode: false });
    const ended = Promise.withResolvers<void>();
    readers.add(ended.promise);
    reply.raw.once('close', () => {
      readers.delete(ended.promise);
      body.destroy();
      ended.resolve();
    });
    raw.socket.setTimeout(STALLED_MS, () => raw.socket.destroy());
    return reply
      .headers({ 'content-type': format.contentType, 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
      .send(body);
  }

  app.addHook('preClose', async () => {
    ending.abort();
    await Promise.race([Promise.all(readers), sleep(END_MS, undefined, { ref: false })]);
  });
}

/** Pulled by the socket: while it is full, nothing is asked for. */
async function* textsOf(
  options: FeedOptions,
  format: Format,
  sources: AdminSources,
  ending: AbortSignal,
): AsyncGenerator<string> {
  const feed = { ...options, id: randomUUID() };
  try {
    yield format.first;
    let bytes = Buffer.byteLength(format.first);
    let saidAtMs = performance.now();
    for (let isFirst = true; !ending.aborted; isFirst = false) {
      const text = textOf(await sources.feed(feed), format, isFirst, format.maxBytes - bytes);
      const nowMs = performance.now();
      if (text !== '' || nowMs - saidAtMs >= SILENT_MS) {
        yield text === '' ? format.signOfLife : text;
        saidAtMs = nowMs;
        bytes += Buffer.byteLength(text);
        if (bytes >= format.maxBytes) return;
      }
      await sleep(EVERY_MS, undefined, { signal: ending }).catch(() => undefined);
    }
  } finally {
    void Promise.resolve(sources.feed({ ...feed, isLast: true })).catch(() => undefined); // else its lease would hold a place
  }
}

/** `maxBytes`: where it ends, with a whole line. */
function textOf({ lines, dropped, isNew }: FeedPart, format: Format, isFirst: boolean, maxBytes: number): string {
  const count = isNew && !isFirst ? null : dropped;
  let text = count === 0 ? '' : format.skipped(count);
  let bytes = Buffer.byteLength(text);
  for (const line of lines) {
    if (bytes >= maxBytes) break;
    const own = format.line(line);
    text += own;
    bytes += maxBytes === Infinity ? 0 : Buffer.byteLength(own);
  }
  return text;
}

/** How much of the calls `/record` writes. */
interface RecordOptions {
  /** Percent of all calls; above 0. */
  readonly share: number;
  /** The stream ends with the line that reaches it. */
  readonly maxBytes: number;
  readonly bodies: boolean;
}

const NAMES = ['share', 'max-bytes', 'bodies'];

/** Fails with a sentence without its full stop. */
function recordOptions(query: Query): RecordOptions | { readonly wrong: string } {
  const [unknown] = Object.keys(query).filter((name) => !NAMES.includes(name));
  if (unknown !== undefined) return { wrong: `unknown parameter ${unknown}; expected one of ${NAMES.join(', ')}` };
  const repeated = Object.keys(query).find((name) => typeof query[name] !== 'string');
  if (repeated !== undefined) return { wrong: `${repeated} is given several times; expected once` };
  const {
    share: shareText = '100',
    'max-bytes': bytesText,
    bodies = 'false',
  } = query as Readonly<Record<string, string | undefined>>;
  const share = Number(shareText);
  if (!(share > 0 && share <= 100)) return { wrong: `share is ${shareText}; expected a percentage above 0, up to 100` };
  const maxBytes = bytesText === undefined ? Infinity : Number(bytesText);
  if (bytesText !== undefined && !(Number.isInteger(maxBytes) && maxBytes > 0))
    return { wrong: `max-bytes is ${bytesText}; expected a whole number above 0` };
  if (bodies !== 'true' && bodies !== 'false') return { wrong: `bodies is ${bodies}; expected true or false` };
  return { share, maxBytes, bodies: bodies === 'true' };
}
