/** What a service answered, and how it is read. */
import { Rejected, Unavailable } from 'sluice/plugin';

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case; values of a repeated header are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The body is longer than its bound; `body` is no more than its beginning. */
  readonly isCut?: true;
}

/** Rules read answers by recursion, and the service chooses the depth. */
const DEEPEST = 32;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** The body as text. Throws {@link Rejected} if it is compressed or not UTF-8. */
export function textOf({ body, headers }: HttpAnswer): string {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new Rejected(`its answer is compressed (${cut(encoding)}), which was not asked for`);
  try {
    return UTF8.decode(body);
  } catch (error) {
    throw new Rejected('its answer is not UTF-8', undefined, { cause: error });
  }
}

/** Throws {@link Rejected} for a body that is not JSON, or deeper than 32. */
export function jsonOf(answer: HttpAnswer): unknown {
  const { body } = answer;
  if (isDeeperThan(body, DEEPEST)) throw new Rejected(`its answer is JSON deeper than ${DEEPEST} levels`);
  const text = textOf(answer);
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = body.length === 0 ? 'it is empty' : cut(error instanceof Error ? error.message : String(error));
    throw new Rejected(`its answer is not JSON: ${why}`, undefined, { cause: error });
  }
}

/** Before it is parsed: a parser takes a second for a megabyte of brackets. */
function isDeeperThan(json: Buffer, levels: number): boolean {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === QUOTE) isText = !isText;
    else if (isText) at += byte === BACKSLASH ? 1 : 0;
    else if ((byte === BRACKET || byte === BRACE) && ++depth > levels) return true;
    else if (byte === BRACKET_END || byte === BRACE_END) depth--;
  }
  return false;
}
const [QUOTE, BACKSLASH, BRACKET, BRACKET_END, BRACE, BRACE_END] = Buffer.from('"\\[]{}');

/** For outputs: the body as JSON, or else as text; `undefined` if it is neither. */
export function bodyOf(answer: HttpAnswer): unknown {
  if (answer.body.length === 0) return undefined;
  try {
    return jsonOf(answer);
  } catch {
    return isJson(answer) ? undefined : textIf(answer);
  }
}

const isJson = ({ headers }: HttpAnswer): boolean =>
  /^application\/([\w.-]+\+)?json\b/i.test(headers['content-type'] ?? '');

function textIf(answer: HttpAnswer): string | undefined {
  try {
    return textOf(answer);
  } catch {
    return undefined;
  }
}

/**
 * The error for a status that is no answer to the question. 408, 425, 429 and 5xx may pass: {@link Unavailable}, after `retry-after`.
 * Others would come again.
 */
export function unexpected({ status, headers }: HttpAnswer, expected: string, nowMs: number): Error {
  if (status >= 500 || status === 408 || status === 425 || status === 429)
    return new Unavailable(`it answered ${status}`, retryAfterMs(headers, nowMs) ?? 0);
  const isRedirect = status >= 300 && status < 400 && headers['location'] !== undefined;
  return new Rejected(
    `it answered ${status}; expected ${expected}${isRedirect ? ' (redirects are not followed)' : ''}`,
  );
}

/** Of `retry-after`: seconds, or a date. */
export function retryAfterMs(headers: HttpAnswer['headers'], nowMs: number): number | undefined {
  const value = headers['retry-after']?.trim();
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Math.min(Number(value), MAX_SECONDS) * 1000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(0, atMs - nowMs), MAX_SECONDS * 1000);
}
const MAX_SECONDS = 86_400;

const SHOWN_CHARACTERS = 200;
/** Services write answers of any length, and reasons are logged. */
export const cut = (text: string): string =>
  text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
