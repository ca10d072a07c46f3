/**
 * How long an answer stays valid (RFC 9111).
 * The key of the host's cache is the whole input of the rule, so `private` and `vary` change nothing, and nothing is revalidated:
 * `no-cache` counts as `max-age=0`.
 */
import { z } from 'zod';
import { type HttpAnswer, retryAfterMs } from './answer.ts';

const ms = z.int().min(0).max(86_400_000).optional();

/** Keys of a config, which params may replace. */
export const validityShape = {
  validForMs: ms
    .describe(
      'How long each answer is used for equal calls, regardless of its headers. Default: by its cache-control; an answer ' +
        'without that header is used once.',
    )
    .meta({ examples: [60_000] }),
  maxValidForMs: ms.describe('Maximum of the time that headers give. Default: a day.').meta({ examples: [300_000] }),
};
export type ValidityConfig = z.output<z.ZodObject<typeof validityShape>>;

export const validityIn = (config: ValidityConfig, params: ValidityConfig | undefined): ValidityConfig => ({
  validForMs: params?.validForMs ?? config.validForMs,
  maxValidForMs: params?.maxValidForMs ?? config.maxValidForMs,
});

/** For `allow`, `deny` and `found`. `refuses`: `retry-after` says when the answer may change. */
export function validityOf(
  { headers }: HttpAnswer,
  { validForMs, maxValidForMs = Infinity }: ValidityConfig,
  refuses: boolean,
  nowMs: number,
): { readonly validForMs?: number } {
  if (validForMs !== undefined) return { validForMs };
  const statedMs = statedBy(headers, refuses, nowMs);
  return statedMs === undefined ? {} : { validForMs: Math.min(statedMs, maxValidForMs) };
}

function statedBy(headers: HttpAnswer['headers'], refuses: boolean, nowMs: number): number | undefined {
  const directives = directivesOf(headers['cache-control'] ?? '');
  if (directives.has('no-store')) return undefined;
  if (directives.has('no-cache')) return 0;
  const freshness = directives.get('s-maxage') ?? directives.get('max-age');
  if (freshness === undefined) return refuses ? retryAfterMs(headers, nowMs) : undefined;
  return Math.max(0, secondsOf(freshness) - secondsOf(headers['age'] ?? '')) * 1000;
}

/** A value that is not a number counts as 0. */
const secondsOf = (text: string): number => (/^\d+$/.test(text.trim()) ? Math.min(Number(text), MAX_SECONDS) : 0);
const MAX_SECONDS = 86_400 * 365;

/** Of a repeated directive the first counts. */
function directivesOf(text: string): ReadonlyMap<string, string> {
  const directives = new Map<string, string>();
  for (const [, name = '', quoted, plain] of text.matchAll(/([\w-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,]*)))?/g)) {
    const key = name.toLowerCase();
    if (!directives.has(key)) directives.set(key, quoted ?? plain ?? '');
  }
  return directives;
}
