/** Values that go to Envoy as they are; it refuses a whole table of routes for one that it does not take, so that is an error here. */
import { RE2JS } from 're2js';
import { z } from 'zod';
import { messageOf } from '../../text/message-of.ts';
import { isKnownCommand } from './header-commands.ts';

const MAX_UINT32 = 4_294_967_295;

/** Envoy counts by 32 bits. */
export const count = (least = 0, most = MAX_UINT32) => z.int().min(least).max(most);

/** The sum of the weights of a route is one of these, too. */
export const isCount = (value: number): boolean => value <= MAX_UINT32;

/** Envoy's programs of UTF-8 are larger than these by some times; `sluice sidecar` admits 32 768 instructions (MAX_PATTERN). */
const MAX_PROGRAM = 4096;

/** Of RE2, or why it is none. */
export function patternOf(text: string): RE2JS | string {
  try {
    const pattern = RE2JS.compile(text);
    return pattern.programSize() > MAX_PROGRAM ? 'the pattern is too large; repeat fewer times in it' : pattern;
  } catch (error) {
    return `expected a pattern of RE2, which has no look-around and no back-references; ${messageOf(error)}`;
  }
}

export const regex = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    const pattern = patternOf(text);
    if (typeof pattern === 'string') context.addIssue({ code: 'custom', message: pattern });
  });

/** Part of a head of HTTP. */
export const oneLine = z.string().refine((text) => !/[\0\r\n]/.test(text), { message: 'expected one line' });

/** `%%`, or a command: its name, perhaps an argument in parentheses, perhaps the greatest length. */
const COMMAND = /%(?:%|([A-Z0-9_]+)(\([^)]*\))?(?::\d+)?%)/g;

/** Text in which Envoy fills in what stands between two `%`. */
export const headerValue = oneLine.superRefine((text, context) => {
  const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
  for (const [, name, argument] of text.matchAll(COMMAND))
    if (name !== undefined && !isKnownCommand(name, argument !== undefined))
      refuse(
        `Envoy has no command %${name}${argument ?? ''}%; see its substitution formatters, or write %% for a percent sign`,
      );
  if (text.replaceAll(COMMAND, '').includes('%'))
    refuse('write %% for a percent sign; Envoy reads %NAME% as a command');
});

const RETRY_ON: ReadonlySet<string> = new Set([
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]);

/** Conditions and codes of HTTP, separated by commas; Envoy ignores a word that it does not know. */
export const retryOn = z
  .string()
  .min(1)
  .superRefine((text, context) => {
    for (const word of text.split(',').map((one) => one.trim()))
      if (!RETRY_ON.has(word) && !(/^\d{3}$/.test(word) && Number(word) >= 100 && Number(word) <= 599))
        context.addIssue({
          code: 'custom',
          message: `${JSON.stringify(word)} is no condition of retries; expected codes such as 503, or ${[...RETRY_ON].join(', ')}`,
        });
  });

/** Of Envoy's table for Maglev. */
export const tableSize = count(2, 5_000_011).refine(isPrime, { message: 'expected a prime number, such as 65537' });

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return value > 1;
}

const CIPHERS: ReadonlySet<string> = new Set([
  ...['ECDSA', 'RSA'].flatMap((key) =>
    ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305', 'AES128-SHA', 'AES256-SHA'].map(
      (cipher) => `ECDHE-${key}-${cipher}`,
    ),
  ),
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
]);

/** Of TLS up to 1.2; `[A|B]` are of equal rank. */
export const cipherSuite = z.string().superRefine((text, context) => {
  for (const name of text.replace(/^\[(.*)\]$/, '$1').split('|'))
    if (!CIPHERS.has(name))
      context.addIssue({
        code: 'custom',
        message: `Envoy has no cipher suite ${JSON.stringify(name)}; it has ${[...CIPHERS].join(', ')}`,
      });
});
