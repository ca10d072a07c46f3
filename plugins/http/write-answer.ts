/**
 * What the status of an answer to a write means for the entries of the request, by the OTLP specification, which others follow.
 *
 * Where credentials or the path are wrong it allows no retry; an operator can mend them, so these wait as well.
 */
import { type HttpAnswer, retryAfterMs } from './answer.ts';

export type NotTaken =
  | { readonly kind: 'later'; readonly why: string; readonly retryAfterMs: number }
  /** The request is too large for the server. */
  | { readonly kind: 'too-large'; readonly why: string }
  | { readonly kind: 'rejected'; readonly why: string };

const RETRIED_STATUSES = new Set([408, 425, 429, 502, 503, 504]);
const MENDABLE_STATUSES = new Set([401, 403, 404, 405, 407]);

/** `undefined` for 2xx. `said`: the message in a body that is neither text nor JSON. */
export function notTaken(
  { status, headers, body }: HttpAnswer,
  nowMs: number,
  said: (body: Buffer) => string = () => '',
): NotTaken | undefined {
  if (status >= 200 && status < 300) return undefined;
  const message = /^text\/|json/.test(headers['content-type'] ?? '') ? body.toString() : said(body);
  const why = `it answered ${status}${message === '' ? '' : `: ${shortOf(message)}`}`;
  if (RETRIED_STATUSES.has(status)) return { kind: 'later', why, retryAfterMs: retryAfterMs(headers, nowMs) ?? 0 };
  if (MENDABLE_STATUSES.has(status))
    return { kind: 'later', why: `${why}; check url and headers of the handler`, retryAfterMs: 0 };
  if (status === 413) return { kind: 'too-large', why };
  return { kind: 'rejected', why };
}

const MAX_TEXT = 300;
export const shortOf = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text);
