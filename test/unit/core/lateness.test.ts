/** The cause of a late answer: the backend if it was silent, this process if it was busy or sent a burst. */
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allow, type QuotaAnswer, Unavailable } from '../../../src/adapters/contract.ts';
import type { Verdict } from '../../../src/core/call.ts';
import { Breaker } from '../../../src/core/handlers/breaker.ts';
import { HandlerCall } from '../../../src/core/handlers/handler-call.ts';
import { CallScope } from '../../../src/core/handlers/call-scope.ts';
import type { LogLine } from '../../../src/adapters/testing/index.ts';
import { engineOf, pause } from './engine-of.ts';

const quota = (more = '', rule = ''): string => `
handlers: { q: { adapter: quota-script, config: { script: q }${more} } }
rules: [{ name: limited, quota: { handler: q, limit: 5, per: 1h, key: [] }${rule} }]
`;
const REFUSED: QuotaAnswer = { granted: false, limit: 5, remaining: 0, resetMs: 1000 };
const never = (): Promise<never> => new Promise(() => {});
const patient = { remainingMs: 10_000, signal: undefined };
const outcomes = (verdicts: readonly Verdict[]): string[] => verdicts.map(({ outcome }) => outcome);
const busy = (ms: number): void => {
  for (const endsAtMs = performance.now() + ms; performance.now() < endsAtMs;);
};

/** What answers over a socket, as a backend does: whatever is asked, after `ms`. */
async function echo(ms: number): Promise<() => Promise<void>> {
  const server = createServer((socket) =>
    socket.on('data', (data) => {
      setTimeout(() => socket.write(data), ms);
    }),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  await once(socket, 'connect');
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  return async () => {
    socket.write('?');
    await once(socket, 'data');
  };
}

describe('an answer that has arrived is not late', () => {
  test('although this process was busy for longer than the deadline', async () => {
    const ask = await echo(0);
    const { http, engine } = await engineOf(quota(', deadline: 20ms'), {
      q: {
        charge: async () => {
          await ask();
          return [REFUSED];
        },
      },
    });
    const verdict = http({}, patient);
    await pause(1);
    busy(150);
    expect((await verdict).outcome).toBe('deny');
    expect(engine.meters.ofHandler('q').failures.late).toBe(0);
  });

  test('although it is the last of many that the handler answers one by one', async () => {
    let last: Promise<void> = Promise.resolve();
    const { http, engine } = await engineOf(quota(', deadline: 40ms'), {
      q: {
        charge: async () => {
          await (last = last.then(() => pause(10)));
          return [REFUSED];
        },
      },
    });
    const verdicts = await Promise.all(Array.from({ length: 20 }, async () => http({}, patient)));
    expect(new Set(outcomes(verdicts))).toEqual(new Set(['deny']));
    expect(engine.meters.ofHandler('q').failures.late).toBe(0);
  });
});

test('answers to later calls do not excuse an earlier one', async () => {
  let asked = 0;
  const { http } = await engineOf(
    `
handlers: { h: { adapter: check-script, config: { script: h }, deadline: 40ms } }
rules: [{ name: asked, check: { handler: h, input: { value: request.path } } }]
`,
    { h: { check: async () => (++asked === 1 ? never() : pause(5).then(() => allow())) } },
  );
  const beganAtMs = performance.now();
  const hung = Promise.resolve(http({}, patient)).then((verdict) => ({
    verdict,
    tookMs: performance.now() - beganAtMs,
  }));
  for (let at = 0; at < 40; at += 1) expect((await http({}, patient)).outcome).toBe('allow');
  const { verdict, tookMs } = await hung;
  expect(verdict.reasons[0]?.text).toBe('[check-script/h] has not answered within 40 ms');
  expect(tookMs).toBeLessThan(5000);
});

describe('an overload never passes a limit', () => {
  test.each([
    ['nothing', ''],
    ['to let pass', ', onError: { handler: allow }'],
  ])('a full queue, where the rule says %s', async (_what, rule) => {
    const answers: ((answer: readonly QuotaAnswer[]) => void)[] = [];
    const { http, engine } = await engineOf(quota(', concurrency: 1, queue: 1', rule), {
      q: {
        charge: () =>
          new Promise((resolve) => {
            answers.push(resolve);
          }),
      },
    });
    const verdicts = [http({}, patient), http({}, patient), http({}, patient)];
    expect(await verdicts[2]).toMatchObject({ outcome: 'error', code: 14, rule: 'limited' });
    expect(engine.meters.ofHandler('q').failures).toMatchObject({ overload: 1, late: 0 });
    answers[0]?.([REFUSED]);
    await verdicts[0];
    answers[1]?.([REFUSED]);
    expect((await verdicts[1])?.outcome).toBe('deny');
  });

  test('a caller whose time runs out while others are answered', async () => {
    let last: Promise<void> = Promise.resolve();
    const { http, engine } = await engineOf(quota(', concurrency: 1000'), {
      q: {
        charge: async () => {
          await (last = last.then(() => pause(10)));
          return [REFUSED];
        },
      },
    });
    const verdicts = await Promise.all(
      Array.from({ length: 60 }, async () => http({}, { remainingMs: 205, signal: undefined })),
    );
    expect(new Set(outcomes(verdicts))).toEqual(new Set(['deny', 'error']));
    expect(engine.meters.ofHandler('q').failures).toMatchObject({ late: 0 });
    expect(engine.handlers()[0]?.breaker).toBe('closed');
  });

  test('a caller without time is an error although the handler would answer at once', async () => {
    const { http } = await engineOf(quota(), {});
    expect(await http({}, { remainingMs: 2, signal: undefined })).toMatchObject({ outcome: 'error' });
  });

  test('a rule that refuses on failure does so', async () => {
    const { http } = await engineOf(quota('', ', onError: { handler: deny }'), {});
    expect(await http({}, { remainingMs: 2, signal: undefined })).toMatchObject({ outcome: 'failed', status: 503 });
  });
});

test("a handler that hangs has the result of its rule's onError, and opens the breaker", async () => {
  const { http, engine } = await engineOf(
    quota(', deadline: 20ms, breaker: { failures: 3, openFor: 5s, window: 50ms }'),
    { q: { charge: never } },
  );
  for (let at = 0; at < 4; at += 1) expect((await http({}, patient)).outcome).toBe('allow');
  expect(engine.handlers()[0]?.breaker).toBe('open');
  expect(engine.meters.ofHandler('q').failures.late).toBeGreaterThanOrEqual(3);
});

describe('a breaker', () => {
  test('does not open by many failures at once, but by as many over its window', async () => {
    let isDown = true;
    const { http, engine } = await engineOf(quota(', breaker: { failures: 10, openFor: 10s, window: 100ms }'), {
      q: {
        charge: async () => {
          if (isDown) throw new Unavailable('away');
          return [REFUSED];
        },
      },
    });
    await Promise.all(Array.from({ length: 50 }, async () => http({}, patient)));
    expect(engine.handlers()[0]?.breaker).toBe('closed');
    isDown = false;
    await http({}, patient);
    await pause(120);
    isDown = true;
    await Promise.all(Array.from({ length: 9 }, async () => http({}, patient)));
    expect(engine.handlers()[0]?.breaker).toBe('closed'); // a success has come between
    await pause(120);
    await http({}, patient);
    expect(engine.handlers()[0]?.breaker).toBe('open');
  });

  test('admits one probe at a time; an older call does not end it', async () => {
    const breaker = new Breaker({ failures: 1, openForMs: 1, windowMs: 0 });
    const [older, other] = [breaker.admits(), breaker.admits()] as [number, number];
    breaker.failed(other);
    await pause(5);
    const trying = breaker.admits() as number;
    expect(trying).toBeDefined();
    breaker.unknown(older);
    expect(breaker.admits()).toBeUndefined();
    breaker.failed(older);
    expect(breaker.state).toBe('half-open');
    breaker.unknown(trying);
    expect(breaker.admits()).toBeDefined();
  });
});

test("a plugin that reads its signal after the call leaves no listener on the caller's", () => {
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => {
    listeners += 1;
  };
  const call = new HandlerCall(new CallScope('id', 'http', { remainingMs: 100, signal }), performance.now() + 100);
  call.done();
  expect(call.signal.aborted).toBe(false);
  expect(listeners).toBe(0);
});

test('an observer of a call learns once that the caller left or the call was late, and reads no signal', () => {
  const told: string[] = [];
  let leave: (() => void) | undefined;
  const caller = {
    remainingMs: 100,
    get signal(): AbortSignal {
      throw new Error('the signal was read');
    },
    observe: (observer: { callerGone(why: string): void }) => {
      leave = () => observer.callerGone('the caller is gone');
    },
  };
  const observed = (): HandlerCall => {
    const call = new HandlerCall(new CallScope('id', 'http', caller), performance.now() + 100);
    call.observe({ abandoned: (why) => void told.push(why) });
    return call;
  };
  observed();
  leave?.();
  observed().abort('late');
  observed().done();
  leave?.();
  expect(told).toEqual(['the caller is gone', 'late']);
});

test('the longest deadline does not fire early', async () => {
  const { http } = await engineOf(quota(', deadline: 3600s'), {
    q: {
      charge: async () => {
        await pause(30);
        return [REFUSED];
      },
    },
  });
  const warnings: unknown[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  expect((await http({}, patient)).outcome).toBe('deny');
  expect(warnings).toEqual([]);
});

describe('a slow call', () => {
  const slowLines = (logged: readonly LogLine[]) =>
    logged.filter(({ message }) => message === 'a call to a handler was slow');
  const text = (deadline: string): string =>
    `handlers: { h: { adapter: check-script, config: { script: h }, deadline: ${deadline} } }\nrules: [{ name: a, check: { handler: h, input: {} } }]\n`;

  test('is logged when it took more than half its deadline, at most once a minute', async () => {
    const { http, logged } = await engineOf(text('100ms'), { h: { check: () => pause(70).then(() => allow()) } });
    await Promise.all([http(), http()]);
    await http();
    expect(slowLines(logged)).toEqual([
      {
        level: 'warn',
        message: 'a call to a handler was slow',
        fields: {
          handler: 'h',
          adapter: 'check-script',
          call: expect.any(String) as string,
          tookMs: expect.toSatisfy((ms: number) => ms > 50) as number,
          deadlineMs: 100,
          times: 1,
        },
      },
    ]);
  });

  test('is not logged when it took less', async () => {
    const { http, logged } = await engineOf(text('10s'), { h: { check: () => pause(10).then(() => allow()) } });
    await http();
    expect(slowLines(logged)).toEqual([]);
  });
});
