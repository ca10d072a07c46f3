/** The gate between the engine and a handler: timeouts, queue, breaker, errors of plugins. */
import { changeOf } from '../../../src/counting/ask.ts';
import { describe, expect, test } from 'vitest';
import {
  allow,
  type Call,
  type CheckAnswer,
  deny,
  PERMISSION_DENIED,
  type QuotaAsk,
  Rejected,
  Unavailable,
} from '../../../src/adapters/contract.ts';
import type { Verdict } from '../../../src/core/call.ts';
import { engineOf, PATIENT, pause, type Script } from './engine-of.ts';

const policy = (more = '', rule = ''): string => `
handlers: { h: { adapter: check-script, config: { script: h }${more} } }
rules:
  - { name: asked, check: { handler: h, input: { value: request.path } }${rule} }
`;
const never = (): Promise<never> => new Promise(() => {});
const why = ({ reasons }: Verdict): string => reasons.map(({ text }) => text).join('; ');

describe('time', () => {
  test('a handler that never answers is denied as failed at its deadline, and its signal aborted', async () => {
    let signal: AbortSignal | undefined;
    const { http, engine } = await engineOf(policy(', deadline: 30ms'), {
      h: {
        check: async (_, call) => {
          signal = call.signal;
          return never();
        },
      },
    });
    const beganAtMs = performance.now();
    const verdict = await http();
    expect(performance.now() - beganAtMs).toBeLessThan(5000);
    expect(verdict).toMatchObject({ outcome: 'failed', status: 503, rule: 'asked' });
    expect(why(verdict)).toBe('[check-script/h] has not answered within 30 ms');
    expect(signal?.aborted).toBe(true);
    expect(engine.meters.ofHandler('h').failures.late).toBe(1);
  });

  test("it is cut to what is left of the caller's own time, less a margin", async () => {
    let remainingMs = 0;
    const { http } = await engineOf(policy(', deadline: 10s'), {
      h: {
        check: (_, call) => {
          ({ remainingMs } = call);
          return never();
        },
      },
    });
    expect(why(await http({}, { remainingMs: 40, signal: undefined }))).toMatch(
      /had not answered when the caller's time was over, after \d+ ms/,
    );
    expect(remainingMs).toBeGreaterThan(20);
    expect(remainingMs).toBeLessThanOrEqual(35);
  });

  test('a caller without a timeout waits 150 ms', async () => {
    const { http } = await engineOf(policy(', deadline: 10s'), { h: { check: never } });
    expect(why(await http())).toBe('[check-script/h] has not answered within 150 ms');
  });

  test('no handler is asked for a caller without time', async () => {
    let asked = 0;
    const { http } = await engineOf(policy(), {
      h: {
        check: () => {
          asked++;
          return allow();
        },
      },
    });
    expect(why(await http({}, { remainingMs: 3, signal: undefined }))).toBe(
      "[check-script/h] was not asked: the caller's time is used up",
    );
    expect(asked).toBe(0);
  });

  test('a caller that disconnects aborts the signal, and does not count against the handler', async () => {
    const gone = new AbortController();
    const { http, engine } = await engineOf(policy(', breaker: { failures: 1, openFor: 1s }'), {
      h: {
        check: (_, call) =>
          new Promise((_resolve, reject) => {
            call.signal.addEventListener('abort', () => reject(new Error('aborted')));
          }),
      },
    });
    const verdict = http({}, { remainingMs: undefined, signal: gone.signal });
    gone.abort();
    expect(await verdict).toMatchObject({ outcome: 'failed' });
    expect(engine.meters.ofHandler('h').failures).toMatchObject({ gone: 1, fault: 0 });
    expect(engine.handlers()[0]?.breaker).toBe('closed');
  });

  test('an answer after its timeout is counted and dropped', async () => {
    const answer = Promise.withResolvers<ReturnType<typeof allow>>();
    const { http, engine } = await engineOf(policy(', deadline: 10ms'), { h: { check: () => answer.promise } });
    expect((await http()).outcome).toBe('failed');
    answer.resolve(allow());
    await pause(0);
    expect(engine.meters.ofHandler('h').abandoned).toBe(1);
  });
});

describe('no call waits without need', () => {
  test('if every handler answers synchronously, so does the engine', async () => {
    const { http, limit } = await engineOf(
      `
handlers:
  h: { adapter: check-script, config: { script: h } }
  q: { adapter: quota-script, config: { script: q } }
  e: { adapter: enrich-script, config: { script: e } }
rules:
  - { name: enriched, enrich: { handler: e, input: { key: '"k"' }, as: my.row } }
  - { name: asked, check: { handler: h, input: { value: request.path } } }
  - { name: charged, quota: { handler: q, limit: my.row.limit, per: 1m, key: [] } }
  - { name: descriptor, quota: { handler: q, limit: 1, per: 1m, key: [ratelimit.descriptor.a] } }
`,
      { e: { lookup: () => ({ plan: 'gold', limit: 7 }) } },
    );
    expect(http()).not.toBeInstanceOf(Promise);
    expect(http()).toMatchObject({ outcome: 'allow' });
    expect(limit([{ a: '1' }])).not.toBeInstanceOf(Promise);
  });
});

describe('room', () => {
  test('calls beyond its concurrency wait in its queue, calls beyond that are refused', async () => {
    const answers: ((answer: CheckAnswer) => void)[] = [];
    const check: Script['check'] = () =>
      new Promise((resolve) => {
        answers.push(resolve);
      });
    const { http, engine } = await engineOf(policy(', concurrency: 2, queue: 1, deadline: 5s'), { h: { check } });
    const patient = { remainingMs: 5000, signal: undefined };
    const calls = Array.from({ length: 4 }, () => http({}, patient));
    expect(engine.handlers()[0]).toMatchObject({ running: 2, waiting: 1 });
    expect(why(await (calls[3] as Promise<Verdict>))).toBe(
      '[check-script/h] was not asked: as many calls run (2) and wait (1) as concurrency and queue allow',
    );
    expect(answers).toHaveLength(2);
    answers[0]?.(allow());
    expect((await (calls[0] as Promise<Verdict>)).outcome).toBe('allow');
    await pause(1);
    expect(answers).toHaveLength(3);
    answers[1]?.(allow());
    answers[2]?.(deny(PERMISSION_DENIED, 'no'));
    expect((await (calls[2] as Promise<Verdict>)).outcome).toBe('deny');
    expect(engine.handlers()[0]).toMatchObject({ running: 0, waiting: 0 });
  });

  test("the caller's time runs in the queue, too", async () => {
    const { http } = await engineOf(policy(', concurrency: 1, deadline: 20ms'), { h: { check: never } });
    const calls = await Promise.all([http(), http()]);
    expect(why(calls[0])).toBe('[check-script/h] has not answered within 20 ms');
    expect(why(calls[1])).toMatch(
      /^\[check-script\/h\] was not asked: \d+ ms passed in its queue, while the handler answered no call$/,
    );
  });
});

describe('breaker', () => {
  test('a handler that hangs in the middle of a burst is logged once, though the breaker stays closed', async () => {
    // All fail in one burst, also where the machine lets the first ten take longer than the 250 ms by default.
    const { http, logged, engine } = await engineOf(policy(', deadline: 20ms, breaker: { window: 10m }'), {
      h: { check: never },
    });
    const verdicts = await Promise.all(Array.from({ length: 200 }, async () => http()));
    expect(new Set(verdicts.map(({ outcome }) => outcome))).toEqual(new Set(['failed']));
    expect(engine.handlers()[0]?.breaker).toBe('closed');
    const lines = logged.filter(({ level }) => level === 'warn').map(({ message }) => message);
    expect(lines.filter((line) => line.includes('does not answer'))).toEqual(['a handler does not answer']);
  });

  test('calls that wait in the queue when it opens are refused at once, and not sent', async () => {
    let asked = 0;
    const check: Script['check'] = async () => {
      asked++;
      await pause(1);
      throw new Unavailable('no route');
    };
    const room = ', concurrency: 2, deadline: 5s, breaker: { failures: 2, openFor: 1s, window: 1ms }';
    const { http, engine } = await engineOf(policy(room), { h: { check } });
    const patient = { remainingMs: 5000, signal: undefined };
    const verdicts = await Promise.all(Array.from({ length: 1000 }, async () => http({}, patient)));
    expect(new Set(verdicts.map(({ outcome }) => outcome))).toEqual(new Set(['failed']));
    expect(asked).toBeLessThan(20);
    expect(why(verdicts[999] as Verdict)).toMatch(/is not asked for \d+ ms: it failed 2 times in a row/);
    expect(engine.handlers()[0]).toMatchObject({ running: 0, waiting: 0, breaker: 'open' });
    expect(engine.meters.ofHandler('h').failures).toMatchObject({ unavailable: asked, breaker: 1000 - asked });
  });

  test('opens after consecutive failures, admits one probe, and closes when that succeeds', async () => {
    let isDown = true;
    let asked = 0;
    const { http, engine } = await engineOf(policy(', breaker: { failures: 3, openFor: 60ms, window: 1ms }'), {
      h: {
        check: async () => {
          await pause(2);
          asked++;
          if (isDown) throw new Unavailable('connection refused');
          return allow();
        },
      },
    });
    for (let call = 0; call < 3; call++) expect(why(await http())).toBe('[check-script/h] connection refused');
    expect(engine.handlers()[0]?.breaker).toBe('open');
    expect(why(await http())).toMatch(/^\[check-script\/h\] is not asked for \d+ ms: it failed 3 times in a row$/);
    expect(asked).toBe(3);
    await pause(70);
    expect(engine.handlers()[0]?.breaker).toBe('half-open');
    await http(); // the try fails
    expect([engine.handlers()[0]?.breaker, asked]).toEqual(['open', 4]);
    isDown = false;
    await pause(70);
    expect(await http()).toMatchObject({ outcome: 'allow' });
    expect(engine.handlers()[0]?.breaker).toBe('closed');
  });

  test('while a probe runs, other calls are refused', async () => {
    let asked = 0;
    let answer: ((answer: CheckAnswer) => void) | undefined;
    const { http } = await engineOf(policy(', deadline: 1s, breaker: { failures: 1, openFor: 20ms }'), {
      h: {
        check: () => {
          if (++asked === 1) throw new Unavailable('away');
          return new Promise((resolve) => {
            answer = resolve;
          });
        },
      },
    });
    await http();
    await pause(30);
    const trying = http({}, { remainingMs: 2000, signal: undefined });
    expect(await http()).toMatchObject({ outcome: 'failed' });
    answer?.(allow());
    expect(await trying).toMatchObject({ outcome: 'allow' });
    expect(asked).toBe(2);
  });

  test('rejected inputs do not open it', async () => {
    const { http, engine } = await engineOf(policy(', breaker: { failures: 1, openFor: 1s }'), {
      h: {
        check: () => {
          throw new Rejected('no such key');
        },
      },
    });
    await http();
    await http();
    expect(engine.handlers()[0]?.breaker).toBe('closed');
    expect(engine.meters.ofHandler('h').failures.rejected).toBe(2);
  });
});

test('the time that is left for a call is whole milliseconds, since AbortSignal.timeout takes no others', async () => {
  const left: number[] = [];
  const { http } = await engineOf(policy(), {
    h: {
      check: async (_input, call) => {
        for (let at = 0; at < 5; at += 1) {
          AbortSignal.timeout(call.remainingMs);
          left.push(call.remainingMs);
          await pause(1);
        }
        return deny(7, 'no');
      },
    },
  });
  expect((await http()).outcome).toBe('deny');
  expect(left.filter((ms) => !Number.isInteger(ms))).toEqual([]);
});

describe('faults of a plugin', () => {
  const faults: readonly (readonly [what: string, check: (input: unknown, call: Call) => unknown, said: string])[] = [
    [
      'throws',
      () => {
        throw new TypeError('x is undefined');
      },
      '[check-script/h] error in the plugin: TypeError: x is undefined',
    ],
    ['rejects', () => Promise.reject(new Error('no')), '[check-script/h] error in the plugin: Error: no'],
    [
      'throws what is no error',
      () => {
        throw 'oh';
      },
      '[check-script/h] error in the plugin: oh',
    ], // eslint-disable-line no-throw-literal
    [
      'throws nothing',
      () => {
        throw undefined; // eslint-disable-line no-throw-literal
      },
      '[check-script/h] error in the plugin: undefined was thrown, in the place of an error',
    ],
    [
      'rejects with nothing',
      () => Promise.reject(),
      '[check-script/h] error in the plugin: undefined was thrown, in the place of an error',
    ],
    [
      'answers true',
      () => true,
      '[check-script/h] error in the plugin: a check must return allow() or deny(), and returned true',
    ],
    [
      'forgets to return',
      async () => undefined,
      '[check-script/h] error in the plugin: a check must return allow() or deny(), and returned undefined',
    ],
    [
      'answers an empty object',
      () => ({}),
      '[check-script/h] error in the plugin: a check must return allow() or deny(), and returned an object',
    ],
    [
      'denies with code 0',
      () => deny(0, 'no'),
      '[check-script/h] error in the plugin: deny() takes a gRPC status code from 1 to 16, not 0',
    ],
    [
      'denies with 403',
      () => Promise.resolve(deny(403, 'no')),
      '[check-script/h] error in the plugin: deny() takes a gRPC status code from 1 to 16, not 403',
    ],
  ];
  test.each(faults)(
    '%s: the call is denied as failed, and the log names adapter and handler',
    async (_what, check, said) => {
      const { http, logged } = await engineOf(policy(), { h: { check: check as Script['check'] & {} } });
      const verdict = await http();
      expect([verdict.outcome, why(verdict)]).toEqual(['failed', said]);
      expect(logged).toContainEqual(
        expect.objectContaining({
          level: 'error',
          fields: expect.objectContaining({ adapter: 'check-script', handler: 'h' }),
        }),
      );
    },
  );

  const QUOTA = `
handlers: { q: { adapter: quota-script, config: { script: q } } }
rules: [{ name: r, quota: { handler: q, limit: 1, per: 1m, key: [] }, onError: { handler: deny } }]
`;
  test('a quota handler that answers too few, or none', async () => {
    const list = 'charge() must return a list with one answer for each ask, 1 here; it returned';
    for (const [answers, said] of [
      [[], `${list} 0`],
      [undefined, `${list} undefined`],
      [[{}], 'each answer of charge() must have granted: true or false'],
    ] satisfies [unknown, string][]) {
      const { http } = await engineOf(QUOTA, { q: { charge: () => answers as never } });
      expect(why(await http())).toBe(`[quota-script/q] error in the plugin: ${said}`);
    }
  });

  const good = { granted: true, limit: 5, remaining: 4, resetMs: 1000 };
  test.each([
    [{ remaining: Number.NaN }, 'remaining of an answer of charge() is a finite number from 0; not NaN'],
    [{ remaining: -1 }, 'remaining of an answer of charge() is a finite number from 0; not -1'],
    [{ remaining: Infinity }, 'remaining of an answer of charge() is a finite number from 0; not Infinity'],
    [{ remaining: undefined }, 'remaining of an answer of charge() is a finite number from 0; not undefined'],
    [{ remaining: '4' }, 'remaining of an answer of charge() is a finite number from 0; not a string'],
    [{ limit: Number.NaN }, 'limit of an answer of charge() is a finite number from 0; not NaN'],
    [{ charged: 2 }, 'charged of an answer of charge() is at most the cost of its ask, 1; not 2'],
    [{ charged: -Infinity }, 'charged of an answer of charge() is a finite number from 0; not -Infinity'],
    [{ resetMs: -Infinity }, 'resetMs of an answer of charge() is a finite number of milliseconds; not -Infinity'],
    [{ resetMs: Number.NaN }, 'resetMs of an answer of charge() is a finite number of milliseconds; not NaN'],
  ])('a quota handler that answers %j: %s', async (wrong, said) => {
    const { http, logged } = await engineOf(QUOTA, { q: { charge: () => [{ ...good, ...wrong }] as never } });
    const verdict = await http();
    expect([verdict.outcome, why(verdict)]).toEqual(['failed', `[quota-script/q] error in the plugin: ${said}`]);
    expect(logged.filter(({ level }) => level === 'error')).toMatchObject([
      { fields: { adapter: 'quota-script', handler: 'q' } },
    ]);
  });

  test('a quota handler whose clock is ahead, or that charged a part, answers well', async () => {
    for (const fine of [{ resetMs: -3 }, { charged: 0.5 }]) {
      const { http } = await engineOf(QUOTA, { q: { charge: () => [{ ...good, ...fine }] } });
      expect((await http()).outcome).toBe('allow');
    }
  });
});

describe('a quota that is counted locally while its handler is unavailable', () => {
  const quota = (word = 'local', deadline = ''): string => `
handlers:
  near: { adapter: quota-script, config: { script: near } }
  far: { adapter: quota-script, config: { script: far }${deadline}, local: { handler: near, replicas: 4 } }
rules:
  - { name: one, quota: { handler: far, limit: 10, per: 1m, algorithm: gcra, burst: 5, key: [], cost: 2 }, onError: { handler: local } }
  - { name: other, quota: { handler: far, limit: 9, per: 1m, key: [] }, onError: { handler: ${word} } }
  - { name: own, calls: [limit], quota: { handler: near, counter: one, limit: 3, per: 1m, key: [ratelimit.descriptor.a] } }
`;
  type Charge = NonNullable<Script['charge']>;
  const away: Charge = () => {
    throw new Unavailable('away');
  };
  const granting =
    (asked: QuotaAsk<{ counter: string }>[]): Charge =>
    (asks) => {
      asked.push(...asks);
      return asks.map(({ limit }) => ({ granted: true, limit, remaining: limit, resetMs: 1000 }));
    };

  test('each replica has its part, in separate counters; the rule has not failed', async () => {
    const asked: QuotaAsk<{ counter: string }>[] = [];
    const { http, engine } = await engineOf(quota(), { far: { charge: away }, near: { charge: granting(asked) } });
    expect(await http()).toMatchObject({ outcome: 'allow' });
    expect(asked.map((ask) => [ask.bucket.counter, ask.limit, ask.burst, changeOf(ask)])).toEqual([
      ['one#far', 3, 2, 2],
      ['other#far', 3, 3, 1],
    ]);
    expect(engine.meters.ofRule('one')).toMatchObject({ local: 1, failed: 0 });
  });

  test('it refuses as any quota does', async () => {
    const { http } = await engineOf(quota(), {
      far: { charge: away },
      near: {
        charge: (asks) => asks.map(({ limit }, at) => ({ granted: at > 0, limit, remaining: 0, resetMs: 7000 })),
      },
    });
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'one', status: 429 });
  });

  test('a call that another rule refuses because its handler failed is not counted', async () => {
    const asked: QuotaAsk<{ counter: string }>[] = [];
    const { http } = await engineOf(quota('deny'), { far: { charge: away }, near: { charge: granting(asked) } });
    expect(await http()).toMatchObject({ outcome: 'failed', rule: 'other' });
    expect(asked).toEqual([]);
  });

  test("the fallback of a late handler is asked although the caller's time is used up", async () => {
    const asked: QuotaAsk<{ counter: string }>[] = [];
    const { http } = await engineOf(quota('local', ', deadline: 10s'), {
      far: { charge: never },
      near: { charge: granting(asked) },
    });
    expect(await http({}, { remainingMs: 30, signal: undefined })).toMatchObject({ outcome: 'allow' });
    expect(asked).toHaveLength(2);
  });

  test('if both fail the call passes, and both are named', async () => {
    const { http, engine } = await engineOf(quota(), { far: { charge: away }, near: { charge: () => [] } });
    const verdict = await http();
    expect(verdict.outcome).toBe('allow');
    expect(why(verdict)).toContain('[quota-script/far] away; [quota-script/near] error in the plugin: ');
    expect(engine.meters.ofRule('one')).toMatchObject({ local: 0, failed: 1 });
  });

  test('a reload with another part takes effect although the handler stays open', async () => {
    const asked: QuotaAsk<{ counter: string }>[] = [];
    const { http, engine, load } = await engineOf(quota(), {
      far: { charge: away },
      near: { charge: granting(asked) },
    });
    await engine.use(await load(quota().replace('replicas: 4', 'replicas: 2')));
    await http();
    expect(asked.map(({ limit }) => limit)).toEqual([5, 5]);
  });
});

test('without a policy every call is an error, never allowed', async () => {
  const { engine, http, limit } = await engineOf(policy(), {});
  await engine.drain();
  expect(await http({}, PATIENT)).toMatchObject({ outcome: 'error', code: 14 });
  expect(await limit([{ a: '1' }])).toMatchObject({ outcome: 'error', statuses: [] });
});

describe('the headers of a denial', () => {
  const denying = (headers: object): Script => ({
    check: () => deny(PERMISSION_DENIED, 'no', { headers: headers as Record<string, string> }),
  });

  test('are sent, and the rule replaces those that it names', async () => {
    const script = denying({ 'www-authenticate': 'Bearer', 'x-why': 'no' });
    const plain = await (await engineOf(policy(), { h: script })).http();
    expect(plain.headers).toEqual([
      ['www-authenticate', 'Bearer'],
      ['x-why', 'no'],
    ]);
    const own = await (await engineOf(policy('', ', onDeny: { headers: { X-Why: mine } }'), { h: script })).http();
    expect(own.headers).toEqual([
      ['x-why', 'mine'],
      ['www-authenticate', 'Bearer'],
    ]);
  });

  test.each([
    [{ 'x-a': 'b\r\nx-c: d' }, /the header x-a of deny\(\) must be text without control characters/],
    [{ 'content-length': '0' }, /deny\(\) cannot set the header "content-length"/],
    [{ 'X-A': 'b' }, /deny\(\) cannot set the header "X-A"/],
    [{ 'x-a': 1 }, /the header x-a of deny\(\) must be text/],
  ])('that cannot be sent are a fault of the plugin: %j', async (headers, says) => {
    const verdict = await (await engineOf(policy(), { h: denying(headers) })).http();
    expect(verdict).toMatchObject({ outcome: 'failed', status: 503 });
    expect(why(verdict)).toMatch(says);
  });
});
