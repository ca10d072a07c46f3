/** A handler that runs elsewhere: both ends of the protocol, over a channel in this thread. */
import { SessionCall } from '../../../src/adapters/isolated/session-call.ts';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  type Adapter,
  allow,
  type AnyHandler,
  type Call,
  type CheckAnswer,
  defineAdapter,
  deny,
  found,
  type Host,
  Rejected,
  Unavailable,
} from '../../../src/adapters/contract.ts';
import { inProcessChannel } from '../../../src/adapters/isolated/in-process-channel.ts';
import { openIsolated } from '../../../src/adapters/isolated/open-isolated.ts';
import type {
  Channel,
  ChannelEvents,
  FromHandler,
  OpenChannel,
  ToHandler,
} from '../../../src/adapters/isolated/protocol.ts';
import type { HandlerEnvironment, OpenHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics, WRONG_AMOUNT } from '../../../src/adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { eventually, type LogLine, testCall } from '../../../src/adapters/testing/index.ts';

interface Pieces {
  readonly open?: (host: Host) => void | Promise<void>;
  readonly check?: (value: string, call: Call, rule: string) => unknown;
  readonly prepare?: (rule: string) => void;
  readonly forget?: (made: unknown) => void;
  readonly close?: () => void | Promise<void>;
}
const adapterOf = ({ open, check, prepare, forget, close }: Pieces): Adapter =>
  defineAdapter({
    name: 'check-example',
    summary: 'For these tests.',
    config: z.strictObject({ list: z.array(z.string()).default([]).describe('Anything.') }),
    serves: { check: { input: { value: 'string' } } },
    async open(_, host) {
      await open?.(host);
      return {
        check: ({ rule }) => {
          prepare?.(rule);
          return ({ value }, call) => (check === undefined ? allow() : check(value, call, rule)) as CheckAnswer;
        },
        ...(forget === undefined ? {} : { forget }),
        ...(close === undefined ? {} : { close }),
      };
    },
  });

interface Opened extends OpenHandler {
  readonly logged: LogLine[];
  readonly metrics: () => Promise<string>;
  readonly ask: (value: string, rule?: string, call?: Call) => Promise<unknown>;
  readonly break: (why: string) => void;
}

const open = (pieces: Pieces, change: Partial<HandlerEnvironment> = {}): Promise<Opened> =>
  openAdapter(adapterOf(pieces), change);

async function openAdapter(
  adapter: Adapter,
  change: Partial<HandlerEnvironment> = {},
  channel?: OpenChannel,
): Promise<Opened> {
  const logged: LogLine[] = [];
  const keep =
    (level: LogLine['level']) =>
    (message: string, fields = {}): void => {
      logged.push({ level, message, fields });
    };
  const log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
  const metrics = createPluginMetrics(log);
  const environment = { log, metrics, shared: createSharedMemory(), restartAfterMs: 5, ...change };
  let breakChannel: (why: string) => void = () => undefined;
  const opened = await openIsolated(
    adapter,
    { name: 'one', config: { list: ['a'] }, folder: '/policies' },
    environment,
    'here',
    channel ??
      inProcessChannel(adapter, environment, (breaks) => {
        breakChannel = breaks;
      }),
  );
  onTestFinished(() => opened.close());
  const checks = new Map<string, ReturnType<NonNullable<AnyHandler['check']>>>();
  return {
    ...opened,
    logged,
    metrics: () => metrics.render(),
    break: (why) => breakChannel(why),
    async ask(value, rule = 'r', call = testCall()) {
      let check = checks.get(rule);
      if (check === undefined) {
        check = opened.handler.check?.({ rule, params: undefined });
        if (check === undefined) throw new Error('it does not serve check');
        checks.set(rule, check);
      }
      return check({ value }, call);
    },
  };
}

const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    (value) => {
      throw new Error(`it answered ${JSON.stringify(value)}`);
    },
    (error: Error) => error,
  );

describe('a handler that runs elsewhere', () => {
  test('answers as it would here, by rule', async () => {
    const { ask } = await open({
      check: (value, _, rule) => (value === 'bad' ? deny(7, `${rule} says no`) : allow({ validForMs: 5 })),
    });
    expect(await ask('good')).toEqual(allow({ validForMs: 5 }));
    expect(await ask('bad', 'other')).toEqual(deny(7, 'other says no'));
  });

  test('gets its config, folder, worker and the id and time of the call', async () => {
    let host: Host | undefined;
    const { ask } = await open(
      {
        open: (given) => {
          host = given;
        },
        check: (_, { id, remainingMs }) => deny(7, `${id} ${remainingMs > 1000 && remainingMs <= 5000}`),
      },
      { worker: { number: 2, count: 3 } },
    );
    expect([host?.folder, host?.worker]).toEqual(['/policies', { number: 2, count: 3 }]);
    const call = testCall();
    expect(await ask('', 'r', call)).toMatchObject({ reason: `${call.id} true` });
  });

  test('fails a call with the error that it threw: Unavailable, Rejected, or a fault with its place', async () => {
    const { ask } = await open({
      check(value) {
        if (value === 'away') throw new Unavailable('Redis is away', 70);
        if (value === 'wrong') throw new Rejected('not a name', [2]);
        if (value === 'text') throw 'only a text'; // oxlint-disable-line
        return Promise.reject(new TypeError('a fault'));
      },
    });
    const away = await failure(ask('away'));
    expect([away instanceof Unavailable, away.message, (away as Unavailable).retryAfterMs]).toEqual([
      true,
      'Redis is away',
      70,
    ]);
    const wrong = await failure(ask('wrong'));
    expect([wrong instanceof Rejected, wrong.message, (wrong as Rejected).entries]).toEqual([true, 'not a name', [2]]);
    expect(await failure(ask('text'))).toMatchObject({ name: 'Error', message: 'only a text' });
    const fault = await failure(ask('fault'));
    expect([fault.name, fault.message]).toEqual(['TypeError', 'a fault']);
    expect(fault.stack).toContain('isolated.test.ts');
  });

  test('whose answer cannot be cloned fails that call alone', async () => {
    const { ask } = await open({
      check: (value) => (value === 'bad' ? { ...allow(), compare: () => 1 } : allow()),
    });
    const answers = await Promise.allSettled([ask('good'), ask('bad'), ask('good')]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(String((answers[1] as PromiseRejectedResult).reason)).toMatch(/its answer cannot be passed to the host/);
  });

  test('whose input cannot be cloned fails that call alone', async () => {
    const { ask, handler } = await open({});
    const check = handler.check?.({ rule: 'r', params: undefined });
    const bad = (async () => check?.({ value: (() => 1) as never }, testCall()))();
    const answers = await Promise.allSettled([ask('good'), bad, ask('good')]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((answers[1] as PromiseRejectedResult).reason).toBeInstanceOf(Rejected);
  });

  test('passes on its log lines, counters, pages and readiness', async () => {
    let host: Host | undefined;
    const { logged, metrics, readiness, ask } = await open({
      open(given) {
        host = given;
        host.metrics.counter('example_seen', 'Seen.').add(2);
        host.metrics.page(() => 'example_page 1');
        host.log.warn('careful', { error: Object.assign(new Error('no'), { code: 'ENO' }), more: 1 });
        host.ready(false, 'its backend is away');
      },
    });
    await ask('');
    expect(logged).toEqual([
      {
        level: 'warn',
        message: 'careful',
        fields: {
          handler: 'one',
          adapter: 'check-example',
          error: { name: 'Error', message: 'no', code: 'ENO' },
          more: 1,
        },
      },
    ]);
    expect(readiness()).toEqual({ ready: false, why: 'its backend is away' });
    host?.ready(true);
    await eventually(() => expect(readiness()).toEqual({ ready: true, why: undefined }));
    const page = await metrics();
    expect(page).toContain('sluice_plugin_example_seen_total{handler="one"} 2\n');
    expect(page).toContain('example_page 1\n');
  });

  test('that has a counter for each request is named once', async () => {
    const { logged, metrics, ask } = await open({
      open(host) {
        for (let at = 0; at < 1000; at++) host.metrics.counter(`path_${at}`, 'By a path.').add();
      },
    });
    expect(await ask('')).toMatchObject({ kind: 'allow' });
    expect((await metrics()).match(/handler="one"/g)).toHaveLength(200);
    expect(logged).toMatchObject([{ level: 'error', fields: { handler: 'one', counter: 'path_200' } }]);
  });

  test('that adds to a counter what is no number from 0 is named once, and its calls are answered', async () => {
    const { logged, metrics, ask } = await open({
      open(host) {
        const counter = host.metrics.counter('example_seen', 'Seen.');
        for (const amount of [3, -5, Number.NaN, '1', Infinity, 4]) counter.add(amount as number);
      },
    });
    expect(await ask('')).toMatchObject({ kind: 'allow' });
    expect(await metrics()).toContain('sluice_plugin_example_seen_total{handler="one"} 7\n');
    expect(logged).toMatchObject([
      { level: 'error', message: WRONG_AMOUNT, fields: { handler: 'one', counter: 'example_seen', amount: '-5' } },
    ]);
  });

  test('fails a call whose answer has a then that throws', async () => {
    const { ask } = await open({
      check: (value) =>
        value === 'bad'
          ? {
              // oxlint-disable-next-line unicorn/no-thenable -- as a plugin may
              then: () => {
                throw new TypeError('boom');
              },
            }
          : allow(),
    });
    expect(await failure(ask('bad'))).toMatchObject({ name: 'TypeError', message: 'boom' });
    expect(await ask('good')).toMatchObject({ kind: 'allow' });
  });

  test('whose background work fails is not ready until it works again', async () => {
    let works = false;
    const { readiness, ask } = await open({
      open: (host) =>
        host.background('watch', async () => {
          if (!works) throw new Error('not yet');
        }),
    });
    await ask('');
    await eventually(() => expect(readiness()).toEqual({ ready: false, why: 'watch failed: not yet' }));
    works = true;
    await eventually(() => expect(readiness().ready).toBe(true));
  });

  test('closes after its signal, once', async () => {
    const steps: string[] = [];
    const { close } = await open({
      open: (host) => host.signal.addEventListener('abort', () => steps.push('aborted')),
      close: () => void steps.push('closed'),
    });
    await Promise.all([close(), close()]);
    await close();
    expect(steps).toEqual(['aborted', 'closed']);
  });

  test('that does not close is abandoned after its time', async () => {
    const { close, logged } = await open({ close: () => new Promise(() => {}) }, { closeWithinMs: 20 });
    await close();
    expect(logged).toMatchObject([{ level: 'warn', message: 'close() does not return and is abandoned' }]);
  });

  test.each([
    [
      'throws',
      () => Promise.reject(new Error('no such file')),
      'ADAPTER_OPEN_FAILED',
      '[check-example/one] no such file',
    ],
    [
      'does not end',
      () => new Promise<void>(() => {}),
      'ADAPTER_OPEN_LATE',
      '[check-example/one] not open after 30 ms: open() waits, or does not end; it must not wait for a backend',
    ],
  ])('whose open %s is not opened, with the reason', async (_, opens, code, message) => {
    await expect(open({ open: opens }, { openWithinMs: 30 })).rejects.toMatchObject({ code, message });
  });

  test('whose place cannot be reached now is not ready, and opens when it can', async () => {
    let tries = 0;
    const adapter = adapterOf({});
    const real = inProcessChannel(adapter, { shared: createSharedMemory() });
    const { readiness, ask, logged } = await openAdapter(adapter, {}, async (events, signal) => {
      if (++tries < 3) throw new Unavailable('ECONNREFUSED');
      return real(events, signal);
    });
    expect(readiness()).toEqual({ ready: false, why: 'it is not running: ECONNREFUSED' });
    expect(await failure(ask('a'))).toBeInstanceOf(Unavailable);
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(await ask('a')).toEqual(allow());
    expect(logged.map(({ message }) => message)).toEqual([
      'a handler ended; its calls fail until it is open again',
      'a handler runs again',
    ]);
  });
});

test('the time that is left for a call is whole milliseconds', () => {
  const { remainingMs } = new SessionCall({ number: 1, id: 'a', remainingMs: 149.5 });
  expect(Number.isInteger(remainingMs)).toBe(true);
  expect(remainingMs).toBeLessThanOrEqual(149);
});

describe('a call', () => {
  test('that its caller abandons is cancelled there, and its signal aborts', async () => {
    let aborted: string | undefined;
    const { ask } = await open({
      check: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted = (signal.reason as Error).message;
            reject(new Unavailable('given up'));
          });
        }),
    });
    const leaving = new AbortController();
    const asked = failure(ask('', 'r', { id: '', remainingMs: 5000, signal: leaving.signal }));
    setTimeout(() => leaving.abort(new Error('the caller left')), 5);
    expect((await asked).message).toBe('given up');
    expect(aborted).toBe('the caller left');
  });

  test('that an observer cancels costs no signal', async () => {
    const cancelled = Promise.withResolvers<string>();
    const { ask } = await open({
      check: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            cancelled.resolve((signal.reason as Error).message);
            reject(new Error('over'));
          });
        }),
    });
    let observer: { abandoned(why: string): void } | undefined;
    const call = {
      id: '',
      remainingMs: 5000,
      get signal(): AbortSignal {
        throw new Error('the signal was read');
      },
      observe: (given: { abandoned(why: string): void }) => {
        observer = given;
      },
    };
    const asked = failure(ask('', 'r', call));
    await eventually(() => expect(observer).toBeDefined());
    observer?.abandoned('late');
    observer?.abandoned('twice');
    expect(await cancelled.promise).toBe('late');
    expect((await asked).message).toBe('over');
  });

  test('in flight when the handler ends fails as Unavailable at once; afterwards all rules are prepared again', async () => {
    const prepared: string[] = [];
    const {
      ask,
      break: breakIt,
      logged,
      readiness,
      running,
    } = await open({
      prepare: (rule) => void prepared.push(rule),
      check: (value) => (value === 'hang' ? new Promise(() => {}) : allow()),
    });
    await ask('', 'one');
    await ask('', 'two');
    const calls = Array.from({ length: 1000 }, () => failure(ask('hang', 'one')));
    await ask('', 'two');
    breakIt('exit code 1');
    const failures = await Promise.all(calls);
    expect(failures.every((error) => error instanceof Unavailable && error.message === 'it ended: exit code 1')).toBe(
      true,
    );
    expect(readiness()).toEqual({ ready: false, why: 'it is not running: exit code 1' });
    expect((await failure(ask('', 'one'))).message).toBe('it is not running: exit code 1');
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(await ask('', 'two')).toEqual(allow());
    expect(prepared).toEqual(['one', 'two', 'one', 'two']);
    expect(running?.()).toMatchObject({ where: 'here', restarts: 1, lastEnd: { why: 'exit code 1' } });
    expect(logged.map(({ level, message }) => [level, message])).toEqual([
      ['warn', 'a handler ended; its calls fail until it is open again'],
      ['info', 'a handler runs again'],
    ]);
  });

  test('that is never answered is settled some time after its end', async () => {
    const { ask } = await open({ check: () => new Promise(() => {}) });
    const call = { id: '', remainingMs: -4500, observe: () => undefined, signal: new AbortController().signal };
    expect(await failure(ask('', 'r', call))).toMatchObject({
      name: 'Unavailable',
      message: 'it never answered the call',
    });
  });
});

describe('a rule', () => {
  test('that the handler rejects is named when the policy loads; its calls fail with the reason', async () => {
    const { handler, rejected, ask } = await open({
      prepare(rule) {
        if (rule.startsWith('bad')) throw new Error(`${rule} is not a pattern`);
      },
    });
    const made = ['good', 'bad', 'fine', 'bad too'].map((rule) => handler.check?.({ rule, params: undefined }));
    expect([...((await rejected?.()) ?? [])]).toEqual([
      [made[1], 'bad is not a pattern'],
      [made[3], 'bad too is not a pattern'],
    ]);
    expect(await failure((async () => made[1]?.({ value: '' }, testCall()))())).toMatchObject({
      message: 'bad is not a pattern',
    });
    expect(await ask('', 'good')).toEqual(allow());
    for (const one of made) handler.forget?.(one);
    expect((await rejected?.())?.size).toBe(0);
  });

  test('whose params cannot be cloned is rejected', async () => {
    const { handler, rejected } = await open({});
    const made = handler.check?.({ rule: 'r', params: { compare: () => 1 } });
    expect((await rejected?.())?.get(made)).toMatch(/^the rule's params: it cannot be passed on: /);
  });

  test('that ends the handler twice while it is prepared is rejected, and no other', async () => {
    const breaks: { now?: (why: string) => void } = {};
    const adapter = adapterOf({
      prepare(rule) {
        if (rule === 'r5') breaks.now?.('it looped');
      },
    });
    const { handler, rejected, readiness, ask, running } = await openAdapter(
      adapter,
      {},
      inProcessChannel(adapter, { shared: createSharedMemory() }, (breakChannel) => {
        breaks.now = breakChannel;
      }),
    );
    const made = Array.from({ length: 10 }, (_, at) => handler.check?.({ rule: `r${at}`, params: undefined }));
    expect([...((await rejected?.()) ?? [])]).toEqual([
      [made[5], 'the handler ended twice while it prepared the rule: it looped'],
    ]);
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(await ask('', 'r9')).toEqual(allow());
    expect(running?.().restarts).toBe(2);
  });

  test('that is not used any more is forgotten there, with what was made for it', async () => {
    const forgotten: unknown[] = [];
    const { handler, ask } = await open({ forget: (made) => void forgotten.push(made) });
    const made = handler.check?.({ rule: 'r', params: undefined });
    handler.forget?.(made);
    handler.forget?.(made);
    await ask('');
    expect(forgotten.map((one) => typeof one)).toEqual(['function']);
  });
});

describe('the other side of a channel', () => {
  /** A peer that answers by a script. */
  async function peer(
    answer: (message: ToHandler, events: ChannelEvents) => readonly FromHandler[],
  ): Promise<Opened & { sent: ToHandler[][] }> {
    const sent: ToHandler[][] = [];
    const opened = await openAdapter(adapterOf({}), {}, async (events): Promise<Channel> => ({
      send(messages) {
        sent.push([...messages]);
        setImmediate(() => events.received(messages.flatMap((message) => answer(message, events))));
      },
      end() {},
    }));
    return { ...opened, sent };
  }
  const has = { reset: false, look: false };
  const good = (message: ToHandler): readonly FromHandler[] => {
    if (message.kind === 'open') return [{ kind: 'opened', has }];
    if (message.kind === 'prepare') return [{ kind: 'prepared', slot: message.slot }];
    if (message.kind === 'ask') return [{ kind: 'answered', number: message.call.number, answer: allow() }];
    if (message.kind === 'close') return [{ kind: 'closed' }];
    return [];
  };

  test('gets the messages of one turn in one write', async () => {
    const { ask, sent } = await peer(good);
    await ask('');
    sent.length = 0;
    await Promise.all(Array.from({ length: 64 }, () => ask('')));
    expect(sent.map(({ length }) => length)).toEqual([64]);
  });

  test('may answer twice, or what was not asked: that is ignored and counted', async () => {
    const { ask, metrics } = await peer((message) => [
      ...good(message),
      ...good(message),
      { kind: 'answered', number: 99_999, answer: allow() },
      { kind: 'prepared', slot: 99_999, why: 'no such rule' },
    ]);
    expect(await ask('')).toEqual(allow());
    expect(await ask('')).toEqual(allow());
    await eventually(async () => expect(await metrics()).toMatch(/ignored_answers_total\{handler="one"\} [3-9]/));
  });

  test('may count what it likes: bad names and amounts are ignored, and names are bounded', async () => {
    const { ask, metrics } = await peer((message) => [
      ...(message.kind === 'ask'
        ? [
            ...['Bad-Name', '', 'ok'].map((name) => ({ kind: 'counted', name, help: 'x', amount: 1 }) as const),
            ...[NaN, -1, Infinity].map((amount) => ({ kind: 'counted', name: 'ok', help: 'x', amount }) as const),
            ...Array.from(
              { length: 1000 },
              (_, at) => ({ kind: 'counted', name: `n${at}`, help: 'x', amount: 1 }) as const,
            ),
          ]
        : []),
      ...good(message),
    ]);
    expect(await ask('')).toEqual(allow());
    const page = await metrics();
    expect(page).toContain('sluice_plugin_ok_total{handler="one"} 1\n');
    expect(page.match(/^# TYPE/gm)?.length).toBe(200);
  });

  test('that goes while it opens fails the opening with its reason', async () => {
    await expect(
      peer((message, events) => {
        if (message.kind === 'open') events.gone('exit code 3');
        return [];
      }),
    ).rejects.toMatchObject({ code: 'ADAPTER_OPEN_FAILED', message: '[check-example/one] exit code 3' });
  });

  test('that goes while it closes counts as closed', async () => {
    const { close } = await peer((message, events) => {
      if (message.kind !== 'close') return good(message);
      events.gone('exit code 3');
      return [];
    });
    const beganAtMs = performance.now();
    await close();
    expect(performance.now() - beganAtMs).toBeLessThan(4500);
  });

  test('that fails to open again is tried again, later each time', async () => {
    let opens = 0;
    let leave: (() => void) | undefined;
    const { ask, readiness, running } = await peer((message, events) => {
      leave = () => events.gone('left');
      if (message.kind !== 'open') return good(message);
      opens++;
      return opens > 1 && opens < 5 ? [{ kind: 'openFailed', why: 'not yet' }] : [{ kind: 'opened', has }];
    });
    expect(await ask('')).toEqual(allow());
    const beganAtMs = performance.now();
    leave?.();
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(await ask('')).toEqual(allow());
    expect(running?.().restarts).toBe(4);
    expect(performance.now() - beganAtMs).toBeGreaterThan((5 + 10 + 20 + 40) * 0.75); // less jitter
  });
});

test('a lookup keeps the validity of its answer, and that nothing is known', async () => {
  const adapter = defineAdapter({
    name: 'enrich-example',
    summary: 'For this test.',
    config: z.strictObject({ list: z.array(z.string()).describe('Anything.') }),
    serves: { enrich: { input: { key: 'string' }, output: { plan: 'string?' } } },
    open: async () => ({
      lookup:
        () =>
        ({ key }) =>
          key === 'plain' ? { plan: 'gold' } : found(key === 'ann' ? { plan: 'gold' } : undefined, { validForMs: 5 }),
    }),
  });
  const { handler } = await openAdapter(adapter);
  const lookup = handler.lookup?.({ rule: 'r', params: undefined });
  const look = async (key: string): Promise<unknown> => lookup?.({ key }, testCall());
  expect(await look('plain')).toEqual({ plan: 'gold' });
  expect(await look('ann')).toEqual(found({ plan: 'gold' }, { validForMs: 5 }));
  expect(await look('eve')).toEqual(found(undefined, { validForMs: 5 }));
});
