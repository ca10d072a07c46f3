import { describe, expect, test } from 'vitest';
import { EscapedErrors } from '../../../src/adapters/escaped-errors.ts';
import { notePlace, originOf } from '../../../src/adapters/loading/plugin-places.ts';
import type { LogLine } from '../../../src/adapters/testing/index.ts';

notePlace('/srv/plugins/check-a', 'check-a');
notePlace('/srv/plugins/check-a-b', 'check-a-b');

function errorAt(frames: readonly string[], message = 'it broke', cause?: unknown): Error {
  const error = new TypeError(message, { cause });
  error.stack = [`TypeError: ${message}`, ...frames.map((frame) => `    at ${frame}`)].join('\n');
  return error;
}
const IN_A = 'work (file:///srv/plugins/check-a/lib/work.ts:3:7)';
const OWN = `ask (${new URL('../../../src/core/handlers/gate.ts', import.meta.url).href}:10:2)`;

describe('an error comes from', () => {
  test.each<[string, Error, object]>([
    [
      'the plugin whose folder its first known frame lies in',
      errorAt(['node:net:1:1', IN_A, OWN]),
      { kind: 'plugin', plugin: 'check-a' },
    ],
    [
      'the plugin that a package of it was called by',
      errorAt(['send (/srv/node_modules/ioredis/built/index.js:1:1)', '/srv/plugins/check-a-b/adapter.ts:2:2']),
      { kind: 'plugin', plugin: 'check-a-b' },
    ],
    ['Sluice, where the plugin called it rightly and it failed', errorAt([OWN, IN_A]), { kind: 'sluice' }],
    [
      'the plugin of its cause',
      errorAt(['node:internal:1:1'], 'outer', errorAt([IN_A])),
      { kind: 'plugin', plugin: 'check-a' },
    ],
    ['nobody known', errorAt(['node:internal:1:1']), { kind: 'unattributed' }],
    [
      'nobody, if only its message names a plugin',
      errorAt([], 'at /srv/plugins/check-a/x.ts:1:1'),
      { kind: 'unattributed' },
    ],
  ])('%s', (_, error, origin) => {
    expect(originOf(error)).toMatchObject(origin);
  });

  test.each([['text'], [undefined], [{ stack: 1 }]])('nobody known, where it is %j', (thrown) => {
    expect(originOf(thrown)).toEqual({ kind: 'unattributed' });
  });
});

describe('uncaught errors', () => {
  let nowMs = 0;
  function started(): { readonly logged: LogLine[]; readonly escaped: EscapedErrors } {
    const logged: LogLine[] = [];
    const keep =
      (level: LogLine['level']) =>
      (message: string, fields = {}): void => {
        logged.push({ level, message, fields });
      };
    return {
      logged,
      escaped: new EscapedErrors(
        { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') },
        () => nowMs,
      ),
    };
  }

  const boom = (): never => {
    throw new Error('do not read');
  };
  test.each<[string, unknown]>([
    ...['name', 'message', 'stack', 'cause'].map((name): [string, unknown] => [
      `an error whose ${name} cannot be read`,
      Object.defineProperty(new Error('x'), name, { get: boom }),
    ]),
    ['an error whose name is no text', Object.assign(new Error('x'), { name: Object.create(null) as string })],
    ['an object without a prototype', Object.create(null)],
    ['a proxy', new Proxy(new Error('x'), { get: boom, getPrototypeOf: boom })],
  ])('%s is counted and logged, and ends no process', (_, error) => {
    const { escaped, logged } = started();
    escaped.take(error, 'throw');
    expect(escaped.total).toBe(1);
    expect(logged).toHaveLength(1);
  });

  test('are logged once a minute per cause with their number, and all are counted', () => {
    nowMs = 0;
    const { logged, escaped } = started();
    for (let nth = 0; nth < 100; nth++) escaped.take(errorAt([IN_A], `try ${nth}`), 'rejection');
    escaped.take(errorAt(['other (file:///srv/plugins/check-a/adapter.ts:9:1)']), 'throw');
    nowMs = 60_000;
    escaped.take(errorAt([IN_A]), 'rejection');
    expect(logged.map(({ fields }) => [fields['plugin'], fields['at'], fields['times']])).toEqual([
      ['check-a', '/srv/plugins/check-a/lib/work.ts:3:7', 1],
      ['check-a', '/srv/plugins/check-a/adapter.ts:9:1', 1],
      ['check-a', '/srv/plugins/check-a/lib/work.ts:3:7', 100],
    ]);
    expect(escaped.counts()).toEqual([{ origin: 'plugin', plugin: 'check-a', count: 102 }]);
  });

  test('of Sluice itself are logged as such, with their stack', () => {
    const { logged, escaped } = started();
    escaped.take(errorAt([OWN]), 'throw');
    expect(logged).toMatchObject([
      {
        level: 'error',
        message: expect.stringContaining('internal error outside of any call') as string,
        fields: { stack: expect.stringContaining('gate.ts') as string },
      },
    ]);
  });

  test('with ever new causes are bounded in the log, not in the count', () => {
    const { logged, escaped } = started();
    for (let nth = 0; nth < 5000; nth++) escaped.take(`cause ${nth}`, 'rejection');
    expect(logged.length).toBeLessThanOrEqual(201);
    expect(escaped.total).toBe(5000);
  });

  test('do not end the process even if the log fails', () => {
    const broken = (): never => {
      throw new Error('EPIPE');
    };
    const escaped = new EscapedErrors({ debug: broken, info: broken, warn: broken, error: broken });
    expect(() => escaped.take(new Error('x'), 'throw')).not.toThrow();
  });
});
