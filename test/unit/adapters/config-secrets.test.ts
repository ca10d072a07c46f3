/** Texts and log fields without the secrets of a config, whatever the secrets are. */
import { expect, test } from 'vitest';
import { handlerLog } from '../../../src/adapters/log/handler-log.ts';
import { SecretTexts } from '../../../src/text/secret-texts.ts';
import type { LogFields } from '../../../src/adapters/contract.ts';

const hiding = (...texts: readonly string[]): SecretTexts =>
  new SecretTexts(texts.map((text) => ({ text, shown: '(secret)' })));

test.each([
  ['one that is a part of another', ['token', 'token-of-ann'], 'a token, token-of-ann', 'a (secret), (secret)'],
  ['one that begins as another', ['pass-1', 'pass-2'], 'pass-2 pass-3 pass-1', '(secret) pass-3 (secret)'],
  ['one that begins within its own beginning', ['abab-c'], 'ababab-c', 'ab(secret)'],
  ['one that what replaces another contains', ['swordfish', 'secret'], 'swordfish', '(secret)'],
  ['a short one', ['abc'], 'abc', 'abc'],
  ['characters of regular expressions', ['$&.*[x'], 'is $&.*[x or $&yy[x', 'is (secret) or $&yy[x'],
  ['half of a pair of surrogates', ['\ud83dabc'], 'a \ud83dabc', 'a (secret)'],
  ['one in which the text was cut', ['swordfish-of-ann'], 'is swordfish', 'is (secret)'],
  ['a word at the end that begins as one', ['redis-of-ann'], 'no redis', 'no redis'],
  ['twice in a row', ['four'], 'fourfour four', '(secret)(secret) (secret)'],
])('%s', (_, secrets, text, shown) => {
  expect(hiding(...secrets).text(text)).toBe(shown);
});

test('a reference is shown as the policy has it, although it contains another secret', () => {
  const secrets = new SecretTexts([
    { text: 'swordfish', shown: '{ $env: PASS_OF_redis }' },
    { text: 'redis', shown: '(secret)' },
  ]);
  expect(secrets.text('redis: swordfish')).toBe('(secret): { $env: PASS_OF_redis }');
});

test('a message is read once, however many secrets there are', () => {
  const secrets = hiding(...Array.from({ length: 5000 }, (_, at) => `key-${at * 7919}-of-a-client`));
  const message = `connect ECONNREFUSED 127.0.0.1:6379 ${'and more words '.repeat(4000)}`;
  const leastMs = (work: () => unknown): number => {
    let least = Infinity;
    for (let run = 0; run < 5; run++) {
      const from = process.cpuUsage();
      work();
      const { user, system } = process.cpuUsage(from);
      least = Math.min(least, (user + system) / 1000);
    }
    return least;
  };
  // One search for each of them takes 100 ms.
  expect(leastMs(() => secrets.text(message))).toBeLessThan(20);
});

class Client {
  readonly options = { password: 'swordfish' };
  readonly port = 6379;
}
class Circular {
  readonly self = this;
  readonly password = 'swordfish';
}

test.each<[string, LogFields, LogFields]>([
  ['a URL', { url: new URL('redis://ann:swordfish@h/0') }, { url: 'redis://ann:(secret)@h/0' }],
  ['a client', { client: new Client() }, { client: { options: { password: '(secret)' }, port: 6379 } }],
  [
    'what refers to itself',
    { client: new Circular() },
    { client: expect.objectContaining({ self: expect.anything() }) },
  ],
  [
    'a map without a prototype',
    { query: Object.assign(Object.create(null) as object, { a: 'swordfish' }) },
    { query: { a: '(secret)' } },
  ],
  ['names of fields', { swordfish: 1, of: { swordfish: 2 } }, { '(secret)': 1, of: { '(secret)': 2 } }],
  ['a time', { at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }],
  [
    'a getter that throws',
    {
      error: Object.defineProperty(new Error('x'), 'cause', {
        get: () => {
          throw new Error('swordfish');
        },
      }),
    },
    { error: '(cannot be read)' },
  ],
])('fields of a log line: %s', (_, fields, shown) => {
  const lines: unknown[] = [];
  const log = (_message: string, found?: LogFields): void => void lines.push(found);
  handlerLog({ debug: log, info: log, warn: log, error: log }, hiding('swordfish'), { handler: 'h' }).warn(
    'away',
    fields,
  );
  expect(lines).toEqual([{ ...shown, handler: 'h' }]);
});

test('causes that refer to each other have an end', () => {
  const [first, second] = [new Error('swordfish'), new Error('swordfish')];
  first.cause = second;
  second.cause = first;
  let shown = hiding('swordfish').value(first);
  let depth = 0;
  for (; shown instanceof Error; depth++) {
    expect(shown.message).toBe('(secret)');
    expect(shown.stack).not.toContain('swordfish');
    shown = shown.cause;
  }
  expect(depth).toBeLessThan(10);
  expect(shown).toBe('...');
});

test('a message of JavaScript that is no text is shown as one', () => {
  const lines: unknown[] = [];
  const log = (message: string): void => void lines.push(message);
  const hidden = handlerLog({ debug: log, info: log, warn: log, error: log }, hiding('swordfish'), {});
  hidden.info(undefined as unknown as string);
  hidden.info(7 as unknown as string);
  expect(lines).toEqual(['undefined', '7']);
});
