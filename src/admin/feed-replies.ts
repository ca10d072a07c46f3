/**
 * Streams of decided calls.
 * **In**: filters in the query. **Out**: `/verdicts/stream`, server-sent events. **Fails**: with 400 for a filter, 403 for a page of another
 * origin, 503 while {@link MAX_READERS} read. A reader that does not read is asked for nothing, and disconnected after {@link STALLED_MS}.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isFromOtherPage, OTHER_PAGE_REFUSED } from './change-access.ts';
import type { AdminSources, FeedPart, FeedRequest } from './sources.ts';
import { type Query, STREAM_FILTERS, unknownRule, verdictFilter } from './verdicts.ts';

export const MAX_READERS = 8;
/** Pause between two requests for the calls of a feed; well below its lease. */
const EVERY_MS = 200;
/** A sign of life, so that proxies and this server notice a reader that has gone. */
const SILENT_MS = 15_000;
const STALLED_MS = 60_000;
/** Streams that are told to end at the drain. */
const END_MS = 500;

interface Format {
  readonly contentType: string;
  readonly first: string;
  /** Empty if there is nothing to say. */
  partText(part: FeedPart, isFirst: boolean): string;
  readonly signOfLife: string;
}

const EVENTS: Format = {
  contentType: 'text/event-stream; charset=utf-8',
  first: ': decided calls as they happen\n\n',
  partText({ lines, dropped, isNew }, isFirst) {
    const events = lines.map((line) => `event: verdict\ndata: ${line}\n\n`).join('');
    const count = isNew && !isFirst ? null : dropped;
    return count === 0 ? events : `${events}event: skipped\ndata: ${JSON.stringify({ count })}\n\n`;
  },
  signOfLife: ': \n\n',
};

export function addFeeds(app: FastifyInstance, sources: AdminSources): void {
  const readers = new Set<Promise<void>>();
  const ending = new AbortController();

  app.get<{ Querystring: Query }>('/verdicts/stream', async (request, reply) => {
    if (isFromOtherPage(request)) return reply.code(403).send(OTHER_PAGE_REFUSED);
    const filter = verdictFilter(request.query, STREAM_FILTERS);
    if ('wrong' in filter) return reply.code(400).send({ error: filter.wrong });
    const unknown = unknownRule(filter, [], sources.policy());
    if (unknown !== undefined) return reply.code(400).send({ error: unknown });
    return stream({ id: randomUUID(), kind: 'live', filter }, EVENTS, request, reply);
  });

  function stream(feed: FeedRequest, format: Format, { raw }: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (readers.size >= MAX_READERS)
      return reply.code(503).send({ error: `${MAX_READERS} readers are attached; close one of them` });
    const body = Readable.from(textsOf(feed, format, sources, ending.signal), { objectMode: false });
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
  feed: FeedRequest,
  format: Format,
  sources: AdminSources,
  ending: AbortSignal,
): AsyncGenerator<string> {
  yield format.first;
  let saidAtMs = performance.now();
  for (let isFirst = true; !ending.aborted; isFirst = false) {
    const text = format.partText(await sources.feed(feed), isFirst);
    const nowMs = performance.now();
    if (text !== '' || nowMs - saidAtMs >= SILENT_MS) {
      yield text === '' ? format.signOfLife : text;
      saidAtMs = nowMs;
    }
    await sleep(EVERY_MS, undefined, { signal: ending }).catch(() => undefined);
  }
}
