/**
 * The answer to a scrape: in the format and coding that it accepts, streamed, so that neither a long page nor a slow reader fills memory.
 */
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { acceptedFormat, inFormat } from './exposition.ts';

export async function sendMetrics(
  page: AsyncIterable<string>,
  { headers }: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { name, contentType } = acceptedFormat(headers.accept);
  const pieces = inFormat(page, name);
  const first = await pieces.next(); // a page that fails at once is answered with 500
  const body = Readable.from(withFirst(first, pieces), { objectMode: false });
  void reply.headers({ 'content-type': contentType, vary: 'accept, accept-encoding' });
  if (!acceptsGzip(headers['accept-encoding'])) return reply.send(body);
  // Level 1: labels repeat, so that a higher one costs twice the time for a tenth of the bytes.
  const gzip = createGzip({ level: 1 });
  body.on('error', (error) => gzip.destroy(error));
  gzip.on('close', () => body.destroy());
  return reply.header('content-encoding', 'gzip').send(body.pipe(gzip));
}

async function* withFirst(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done !== true) yield first.value;
  yield* rest;
}

function acceptsGzip(header: string | readonly string[] | undefined): boolean {
  return String(header ?? '')
    .split(',')
    .some((coding) => /^\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(coding));
}
