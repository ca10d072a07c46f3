/**
 * Entity tags: a client that polls gets what has not changed once (RFC 9110, If-None-Match).
 * **In**: an answer of GET as text. **Out**: the same with a tag, or 304 without it. **Fails**: never.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** For routes that know a tag without writing their answer. */
export const tagged = (reply: FastifyReply, tag: string): FastifyReply => reply.header('etag', tag);

/** By weak comparison, as for every GET. */
export const isKept = (tag: string, { 'if-none-match': kept }: IncomingHttpHeaders): boolean =>
  kept !== undefined && kept.split(',').some((one) => one.trim().replace(/^W\//, '') === tag || one.trim() === '*');

/** Tags each answer that is one text. Nothing is to be kept on a disk: verdicts have the paths and principals of strangers. */
export function addTags(app: FastifyInstance): void {
  app.addHook('onSend', async ({ method, headers }, reply, payload) => {
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
    if (method !== 'GET' || reply.statusCode !== 200 || typeof payload !== 'string') return payload;
    if (reply.hasHeader('etag')) return payload;
    const tag = `"${createHash('sha256').update(payload).digest('base64url').slice(0, 16)}"`;
    void tagged(reply, tag);
    if (!isKept(tag, headers)) return payload;
    void reply.code(304);
    return null;
  });
}
