/** The test kit finds faults: each adapter here breaks one promise, and the behaviour about it fails. */
import { changeOf } from '../../../src/counting/ask.ts';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  type Adapter,
  allow,
  type CheckAnswer,
  defineAdapter,
  deny,
  PERMISSION_DENIED,
  type QuotaAnswer,
  type QuotaAsk,
  quota,
  report,
  type ReportEntry,
  Unavailable,
} from 'sluice/plugin';
import { type AdapterSubject, fakeClock, testAdapter } from 'sluice/plugin/testing';

type Subject = Omit<AdapterSubject, 'runner'>;

/** Runs the lists, or some sentences of them, with a runner of its own, and gives the sentences that failed. */
async function failing(adapter: Adapter, subject: Subject, only?: readonly string[]): Promise<string[]> {
  const sentences: [string, () => Promise<void>][] = [];
  const runner = {
    describe: (_: string, declare: () => void) => declare(),
    test: (says: string, run: () => Promise<void>) => sentences.push([says, run]),
  };
  testAdapter(adapter, { ...subject, runner });
  const failed: string[] = [];
  for (const [says, run] of sentences.filter(([one]) => only?.includes(one) !== false))
    await run().catch(() => failed.push(says));
  return failed;
}

describe('lifecycle', () => {
  const adapter = (change: object = {}, close: () => void = () => {}): Adapter => ({
    ...defineAdapter({
      name: 'enrich-one',
      summary: 'Gives one.',
      config: z.strictObject({ a: z.string().optional().describe('A.') }),
      serves: { enrich: { input: { key: 'string' }, output: { one: 'int' } } },
      async open() {
        return {
          lookup:
            () =>
            ({ key }) =>
              key === 'x' ? { one: 1 } : undefined,
          close,
        };
      },
    }),
    ...change,
  });
  const subject: Subject = {
    config: {},
    enrich: { known: [{ input: { key: 'x' }, output: { one: 1 } }], unknown: [{ key: 'y' }] },
  };

  test('a good adapter passes', async () => {
    expect(await failing(adapter(), subject)).toEqual([]);
  });

  test('an undescribed field, a config that accepts a typo', async () => {
    expect(await failing(adapter({ config: z.object({ a: z.string().optional() }) }), subject)).toEqual([
      'its description is complete, every field of its config described',
      'a misspelt key of the config is refused',
    ]);
  });

  const LEAKS = 'opened and closed 1 000 times, it leaves no memory, handles or listeners behind';

  test('memory, timers and listeners that outlive it', async () => {
    const kept: unknown[] = [];
    const timers: NodeJS.Timeout[] = [];
    const listener = (): void => undefined;
    const leaking = (leave: () => void): Adapter => {
      const plain = adapter();
      return adapter({
        open(config: unknown, host: never) {
          leave();
          return plain.open(config, host);
        },
      });
    };
    process.setMaxListeners(5000);
    expect(
      await failing(
        leaking(() => void kept.push('x'.repeat(4000).split(''))),
        subject,
        [LEAKS],
      ),
    ).toEqual([LEAKS]);
    expect(
      await failing(
        leaking(() => timers.push(setInterval(listener, 1000))),
        subject,
        [LEAKS],
      ),
    ).toEqual([LEAKS]);
    expect(
      await failing(
        leaking(() => process.on('SIGUSR2', listener)),
        subject,
        [LEAKS],
      ),
    ).toEqual([LEAKS]);
    for (const timer of timers) clearInterval(timer);
    process.removeAllListeners('SIGUSR2');
  }, 180_000); // each leak is waited for

  test('every place of the list', async () => {
    let opened = 0;
    const plain = adapter();
    const noting = adapter({
      open(config: unknown, host: never) {
        opened++;
        return plain.open(config, host);
      },
    });
    const says = 'it opens and closes without use';
    expect(await failing(noting, { ...subject, in: ['process', 'protocol'] }, [says])).toEqual([]);
    expect(opened).toBe(2);
    expect(await failing(noting, { ...subject, in: ['worker'] }, [says])).toEqual([says]); // it has no module
  });

  test('a second close that fails', async () => {
    let closed = 0;
    expect(
      await failing(
        adapter({}, () => {
          if (closed++ > 0) throw new Error('closed');
        }),
        subject,
      ),
    ).toContain('closing twice is harmless');
  });

  test('a bad config that is accepted', async () => {
    expect(await failing(adapter(), { ...subject, badConfigs: [{ config: { a: 'x' }, says: /a/ }] })).toEqual([
      'a bad config is refused: a',
    ]);
  });

  test('and says which, and what was expected', async () => {
    const thrown: unknown[] = [];
    const runner = {
      describe: (_: string, declare: () => void) => declare(),
      test: (name: string, show: () => void | Promise<void>) => {
        if (name === 'a bad config is refused: a')
          thrown.push(Promise.resolve(show()).catch((error: unknown) => error));
      },
    };
    testAdapter(adapter(), { ...subject, runner, badConfigs: [{ config: { a: 'x' }, says: /a/ }] });
    expect(await Promise.all(thrown)).toEqual([
      expect.objectContaining({
        message: expect.stringContaining(
          'the config {"a":"x"} was taken; expected a refusal that matches /a/',
        ) as string,
      }),
    ]);
  });

  test('an open that ignores its abort is abandoned', async () => {
    const hanging = adapter({ open: () => new Promise(() => {}) });
    const failed: string[] = [];
    const runner = {
      describe: (_: string, declare: () => void) => declare(),
      test: (says: string, run: () => Promise<void>) =>
        says.startsWith('opening ends') ? failed.push(says, String(run)) : 0,
    };
    testAdapter(hanging, { ...subject, runner });
    expect(failed).toHaveLength(2);
  });

  test('an output of the wrong type, or that is not declared', async () => {
    const giving = (output: object): Adapter =>
      adapter({
        open: async () => ({
          lookup:
            () =>
            ({ key }: { key: string }) =>
              key === 'x' ? output : undefined,
        }),
      });
    const expecting = (output: Record<string, unknown>): Subject => ({
      ...subject,
      enrich: { known: [{ input: { key: 'x' }, output }], unknown: [{ key: 'y' }] },
    });
    expect(await failing(giving({ one: 1.5 }), expecting({ one: 1.5 }))).toEqual([
      'the output has the declared names and types',
    ]);
    expect(await failing(giving({ two: 1 }), expecting({ two: 1 }))).toEqual([
      'the output has the declared names and types',
    ]);
  });

  test('a value for an unknown key', async () => {
    expect(await failing(adapter({ open: async () => ({ lookup: () => () => ({ one: 1 }) }) }), subject)).toEqual([
      'an unknown key has no values',
    ]);
  });

  test('a skip of an unknown behaviour; a missing example', async () => {
    expect(await failing(adapter(), { ...subject, skip: { 'it flies': 'no wings' } })).toEqual([
      'enrich-one skips only known behaviours',
    ]);
    expect(
      await failing(adapter({ config: z.object({}) }), {
        ...subject,
        skip: { 'a misspelt key of the config is refused': 'for this test' },
      }),
    ).toEqual(['its description is complete, every field of its config described']);
    await expect(failing(adapter(), { config: {} })).rejects.toThrow('was given no example under "enrich"');
  });
});

describe('check', () => {
  const answering = (answer: (value: string) => CheckAnswer): Adapter =>
    defineAdapter({
      name: 'check-x',
      summary: 'Allows x.',
      config: z.strictObject({}),
      serves: { check: { input: { value: 'string' }, output: { n: 'int' } } },
      async open() {
        return {
          check:
            () =>
            ({ value }) =>
              answer(value),
        };
      },
    });
  const subject: Subject = { config: {}, check: { allowed: [{ value: 'x' }], denied: [{ value: 'y' }] } };
  const no = deny(PERMISSION_DENIED, 'not x');

  test.each<[string, (value: string) => CheckAnswer, string[]]>([
    ['a good one', (value) => (value === 'x' ? allow() : no), []],
    [
      'a deny with code 0',
      (value) => (value === 'x' ? allow() : deny(0, 'no')),
      ['what may not pass is denied, with a code and a reason'],
    ],
    [
      'a deny without reason',
      (value) => (value === 'x' ? allow() : deny(7, ' ')),
      ['what may not pass is denied, with a code and a reason'],
    ],
    [
      'a negative validity',
      (value) => (value === 'x' ? allow({ validForMs: -1 }) : no),
      ['validForMs is 0 or more, and uses 1 or more'],
    ],
    [
      'an output not of its type',
      (value) => (value === 'x' ? allow({ output: { n: 'many' } }) : no),
      ['an output has the declared names and types'],
    ],
    ['all allowed', () => allow(), ['what may not pass is denied, with a code and a reason']],
  ])('%s', async (_, answer, failed) => {
    expect(await failing(answering(answer), subject)).toEqual(failed);
  });
});

describe('quota', () => {
  interface Fault {
    readonly waits?: boolean;
    readonly partly?: boolean;
    readonly zeroCharges?: boolean;
    readonly oneKey?: boolean;
    readonly ownClock?: boolean;
    readonly fromFirst?: boolean;
    readonly oneCounter?: boolean;
    readonly forgives?: boolean;
    readonly chargesAgain?: boolean;
    readonly wholeOnly?: boolean;
    readonly keepsAll?: boolean;
    readonly takesLate?: boolean;
    readonly neverForgets?: boolean;
  }
  /** Fixed windows, and one fault. */
  const counting = (fault: Fault): Adapter =>
    defineAdapter({
      name: 'quota-faulty',
      summary: 'Counts, with a fault.',
      config: z.strictObject({}),
      serves: { quota: { algorithms: ['fixed'] } },
      async open(_, host) {
        const counts = new Map<string, { end: number; used: number }>();
        const own = fakeClock();
        const charged = new Map<string, number>();
        const one = (ask: QuotaAsk<string>): { answer: QuotaAnswer; charge: () => () => void } => {
          const { bucket, key, limit, perMs, endsAtMs, idempotencyKey: once } = ask;
          const asked = changeOf(ask);
          const partial = ask.kind === 'spend' && ask.partial === true;
          const owes = ask.kind === 'owe';
          const nowMs = fault.ownClock === true ? own.nowMs() : host.clock.nowMs();
          const name = [fault.oneCounter === true ? '' : bucket, perMs, fault.oneKey === true ? '' : key].join('\n');
          let count = counts.get(name);
          if (count === undefined || count.end <= nowMs) {
            const isAhead = endsAtMs !== undefined && (endsAtMs > nowMs || fault.takesLate === true);
            count = {
              end: isAhead
                ? endsAtMs
                : fault.fromFirst === true
                  ? nowMs + perMs
                  : (Math.floor(nowMs / perMs) + 1) * perMs,
              used: 0,
            };
            counts.set(name, count);
          }
          const { used, end } = count;
          const onceName = `${name}\n${once}`;
          const isCharged = once !== undefined && fault.chargesAgain !== true && (charged.get(onceName) ?? 0) > nowMs;
          const part = partial && fault.wholeOnly !== true ? Math.min(asked, Math.max(1, limit - used)) : asked;
          const [cost, owed] =
            isCharged && asked >= 0
              ? [0, true]
              : asked < 0 &&
                  (fault.keepsAll === true || (fault.takesLate !== true && endsAtMs !== undefined && endsAtMs < end))
                ? [0, true]
                : [Math.max(part, -used), owes];
          const taken = cost === 0 && fault.zeroCharges === true ? 1 : cost;
          const granted = (owed && fault.forgives !== true) || used + taken <= limit;
          const kept = count;
          return {
            answer: {
              granted,
              limit,
              remaining: Math.max(0, limit - used - (granted ? taken : 0)),
              resetMs: end - nowMs,
              charged: taken,
            },
            charge: () => {
              const chargedUntilMs = charged.get(onceName) ?? 0;
              kept.used = used + taken;
              if (once !== undefined && taken > 0) charged.set(onceName, nowMs + perMs);
              if (once !== undefined && taken < 0 && fault.neverForgets !== true) charged.delete(onceName);
              return () => {
                kept.used = used;
                charged.set(onceName, chargedUntilMs);
              };
            },
          };
        };
        return quota({
          bucket: ({ counter }) => counter,
          async charge(asks: readonly QuotaAsk<string>[]) {
            const done: { answer: QuotaAnswer; undo: () => void }[] = [];
            for (const ask of asks) {
              const { answer, charge } = one(ask);
              if (fault.waits === true) await new Promise((resolve) => setTimeout(resolve, 1)); // read, wait, write: the race
              done.push({ answer, undo: answer.granted ? charge() : () => {} });
            }
            const all = done.every(({ answer }) => answer.granted);
            if (!all && fault.partly !== true) for (const { undo } of done.toReversed()) undo();
            return done.map(({ answer }) =>
              all || !answer.granted ? answer : { ...answer, remaining: answer.remaining + (answer.charged ?? 0) },
            );
          },
        });
      },
    });

  test.each<[string, Fault, readonly string[]]>([
    ['a good one', {}, []],
    [
      'one that reads and writes separately',
      { waits: true },
      [
        'fixed: never grants more than the limit to 500 concurrent asks',
        'fixed: stays all or none under concurrent asks',
      ],
    ],
    [
      'one that charges what it can of several',
      { partly: true },
      ['fixed: grants all of several asks or charges none', 'fixed: stays all or none under concurrent asks'],
    ],
    [
      'one that charges a look',
      { zeroCharges: true },
      [
        'fixed: grants all of several asks or charges none',
        'fixed: a look charges nothing',
        'fixed: stays all or none under concurrent asks',
      ],
    ],
    ['one count for all keys', { oneKey: true }, ['fixed: keys are separate, and may be any text']],
    [
      'one count for all counters',
      { oneCounter: true },
      ['fixed: counters are separate; rules that name the same counter share it'],
    ],
    [
      'a clock of its own',
      { ownClock: true },
      [
        'fixed: a window ends by the clock, not a period after the first ask',
        'fixed: a refusal says when the ask could pass, by the clock',
        'fixed: the reset is the end of the window, granted or refused',
      ],
    ],
    [
      'one that charges again',
      { chargesAgain: true },
      ['fixed: a repeated idempotency key is not charged again within a period'],
    ],
    [
      'one that knows as charged what was given back',
      { neverForgets: true },
      ['fixed: an idempotency key is forgotten when its charge is given back'],
    ],
    [
      'one that knows no parts',
      { wholeOnly: true },
      ['fixed: a partial spend charges what is left, and all or none still holds'],
    ],
    ['one that takes nothing back', { keepsAll: true }, ['fixed: gives back what was charged']],
    [
      'one that takes back into a window that is over',
      { takesLate: true },
      ['fixed: giving back to an ended window does not credit a later one'],
    ],
    ['one that forgives debts', { forgives: true }, ['fixed: a debt is charged even beyond the limit']],
    [
      'windows from the first ask',
      { fromFirst: true },
      [
        'fixed: a day is a day of UTC',
        'fixed: a window ends by the clock, not a period after the first ask',
        'fixed: the reset is the end of the window, granted or refused',
      ],
    ],
  ])('%s', async (_, fault, failed) => {
    expect(await failing(counting(fault), { config: {} })).toEqual(expect.arrayContaining([...failed]));
    if (failed.length === 0) expect(await failing(counting(fault), { config: {} })).toEqual([]);
  });
});

describe('without its backend', () => {
  const away = (change: {
    readonly open?: () => void;
    readonly charge?: () => never | Promise<never>;
    readonly says?: boolean;
  }): Adapter =>
    defineAdapter({
      name: 'quota-away',
      summary: 'Has no backend.',
      config: z.strictObject({ url: z.string().describe('U.') }),
      serves: { quota: { algorithms: ['fixed'] } },
      async open({ url }, host) {
        if (url === 'nowhere') change.open?.();
        if (change.says !== false) host.ready(false, 'nobody there');
        return quota({
          bucket: () => 0,
          charge: () => {
            throw new Unavailable('nobody there');
          },
          ...(change.charge === undefined ? {} : { charge: change.charge }),
        });
      },
    });
  const sentences = [
    'it opens and closes although its backend is unavailable',
    'without its backend a call is Unavailable, within its time',
    'without its backend it says that it is not ready, and why',
  ];
  const failingOf = (adapter: Adapter): Promise<string[]> =>
    failing(adapter, { config: { url: 'here' }, unreachable: { url: 'nowhere' } }, sentences);

  test('a good one', async () => {
    expect(await failingOf(away({}))).toEqual([]);
  });

  test('one that will not open', async () => {
    expect(
      await failingOf(
        away({
          open: () => {
            throw new Unavailable('nobody there');
          },
        }),
      ),
    ).toEqual(sentences);
  });

  test('one whose calls fail like a bug, or hang', async () => {
    expect(
      await failingOf(
        away({
          charge: () => {
            throw new Error('ECONNREFUSED');
          },
        }),
      ),
    ).toEqual([sentences[1]]);
    expect(
      await failingOf(
        away({ charge: () => new Promise((_, reject) => setTimeout(() => reject(new Unavailable('late')), 2100)) }),
      ),
    ).toEqual([sentences[1]]);
  });
});

describe('report', () => {
  const store: unknown[] = [];
  let isAway = false;
  const writing = (
    take: (entries: readonly ReportEntry<string>[]) => readonly ReportEntry<string>[],
    away: () => void = () => {
      throw new Unavailable('away');
    },
  ): Adapter =>
    defineAdapter({
      name: 'log-array',
      summary: 'Keeps entries.',
      config: z.strictObject({}),
      serves: { report: { input: 'any' } },
      async open() {
        return report({
          sink: ({ rule }) => rule,
          async write(entries: readonly ReportEntry<string>[]) {
            if (isAway) return away();
            store.push(...take(entries).map(({ input }) => input));
          },
        });
      },
    });
  const subject: Subject = {
    config: () => {
      store.length = 0;
      return {};
    },
    report: {
      input: (n) => ({ n }),
      read: () => store,
      away: {
        begin: async () => {
          isAway = true;
        },
        end: async () => {
          isAway = false;
        },
      },
    },
  };

  test('a good one', async () => {
    expect(
      await failing(
        writing((entries) => entries),
        subject,
      ),
    ).toEqual([]);
  });

  test('unavailable without an error', async () => {
    expect(
      await failing(
        writing(
          (entries) => entries,
          () => {},
        ),
        subject,
      ),
    ).toEqual(['Unavailable while the backend is away, and nothing is lost after']);
    expect(
      await failing(
        writing(
          (entries) => entries,
          () => {
            throw new Error('away');
          },
        ),
        subject,
      ),
    ).toEqual(['Unavailable while the backend is away, and nothing is lost after']);
  });
});
