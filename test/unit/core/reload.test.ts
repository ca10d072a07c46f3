/** Reloads of a policy: handlers that are kept or closed, and when; the last good policy stays if the next one is invalid. */
import { describe, expect, test, vi } from 'vitest';
import { allow, type CheckAnswer } from '../../../src/adapters/contract.ts';
import type { Verdict } from '../../../src/core/call.ts';
import { SnapshotError } from '../../../src/core/snapshot/errors.ts';
import { loopTurnsOf } from '../../parts/loop-turns.ts';
import { engineOf, pause, type Script } from './engine-of.ts';

const policy = (handlers: Readonly<Record<string, string>>, more = ''): string =>
  `handlers:\n${Object.entries(handlers)
    .map(([name, config]) => `  ${name}: { adapter: check-script, config: { script: ${name}${config} } }\n`)
    .join('')}rules:\n${Object.keys(handlers)
    .map((name) => `  - { name: ask-${name}, check: { handler: ${name}, input: {} } }\n`)
    .join('')}${more}`;

interface Counted extends Script {
  opened: number;
  closed: number;
}
function counted(script: Script = {}): Counted {
  const own: Counted = {
    ...script,
    opened: 0,
    closed: 0,
    open: () => {
      own.opened++;
    },
    close: () => {
      own.closed++;
    },
  };
  return own;
}

describe('a reload', () => {
  test('keeps a handler whose adapter and config are equal, and opens and closes the others', async () => {
    const [same, changed, gone, added] = [counted(), counted(), counted(), counted()];
    const { engine, load } = await engineOf(policy({ same: '', changed: '', gone: '' }), {
      same,
      changed,
      gone,
      added,
    });
    await engine.use(await load(policy({ same: '', changed: ', version: 2', added: '' })));
    await pause(1);
    expect([same, changed, gone, added].map(({ opened, closed }) => [opened, closed])).toEqual([
      [1, 0],
      [2, 1],
      [1, 1],
      [1, 0],
    ]);
    await engine.drain();
    expect([same, changed, gone, added].map(({ opened, closed }) => opened - closed)).toEqual([0, 0, 0, 0]);
  });

  test('a kept handler gets its new limits', async () => {
    const { engine, load, http } = await engineOf(policy({ h: '' }), { h: { check: () => new Promise(() => {}) } });
    await engine.use(await load(policy({ h: '' }).replace('{ script: h }', '{ script: h }, deadline: 10ms')));
    expect((await http()).reasons[0]?.text).toBe('[check-script/h] has not answered within 10 ms');
  });

  test('a call in flight ends on the policy it began with; its handler closes after it', async () => {
    let answer: ((answer: CheckAnswer) => void) | undefined;
    const old = counted({
      check: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const { engine, load, http } = await engineOf(policy({ old: '' }), { old });
    const inFlight = http();
    await engine.use(
      await load(policy({}, '  - { name: closed, deny: { status: 410 } }\n').replace('handlers:\n', '')),
    );
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'closed' });
    expect(old.closed).toBe(0);
    answer?.(allow());
    expect(await (inFlight as Promise<Verdict>)).toMatchObject({ outcome: 'allow' });
    await pause(5);
    expect(old.closed).toBe(1);
  });

  test('one whose handler cannot be opened is refused, closes what it opened, and the last good one stays', async () => {
    const [good, other] = [counted(), counted()];
    const { engine, load, http } = await engineOf(policy({ good: '' }, '  - { name: first, deny: {} }\n'), {
      good,
      other,
      bad: {
        open: () => {
          throw new Error('no such file: offices.txt');
        },
      },
    });
    const refused: unknown = await engine
      .use(await load(policy({ good: '', other: '', bad: '' })))
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SnapshotError);
    expect(
      (refused as SnapshotError).findings.map(({ position: { line }, code, message }) => [line, code, message]),
    ).toEqual([[4, 'CORE_HANDLER_OPEN', expect.stringContaining('no such file: offices.txt')]]);
    expect([good, other].map(({ opened, closed }) => [opened, closed])).toEqual([
      [1, 0],
      [1, 1],
    ]);
    await load(policy({ good: '' }, '  - { name: first, deny: {} }\n'));
    expect(await http()).toMatchObject({ outcome: 'deny', rule: 'first' });
  });

  test('counters of rules that stay go on, those of removed rules are dropped', async () => {
    const { engine, load, http } = await engineOf('rules: [{ name: a, deny: {} }, { name: b, deny: {} }]\n', {});
    await http();
    await engine.use(await load('rules: [{ name: a, deny: {} }]\n'));
    await http();
    expect(engine.meters.ofRule('a').denied).toBe(2);
    expect([...engine.meters.read().rules.keys()]).toEqual(['a']);
  });
});

describe('what rules prepared with a handler', () => {
  const HANDLERS = `handlers:
  h: { adapter: check-script, config: { script: h } }
  q: { adapter: quota-script, config: { script: q } }
  l: { adapter: log-script, config: { script: l }, batch: { maxAge: 20ms } }
  bad: { adapter: check-script, config: { script: bad } }
`;
  const rulesOf = (name: string): string => `rules:
  - { name: check-${name}, check: { handler: h, input: {} } }
  - { name: quota-${name}, quota: { handler: q, limit: 1, per: 1s, key: [] } }
  - { name: report-${name}, report: { handler: l, input: { path: request.path } } }
`;
  const WITHOUT_BAD = HANDLERS.replace(/ {2}bad: .*\n/, '');

  function remembering(script: Script = {}): Script & { readonly forgotten: unknown[] } {
    const forgotten: unknown[] = [];
    return { ...script, forgotten, forget: (made) => void forgotten.push(made) };
  }

  test('is forgotten by a kept handler when no policy uses it any more', async () => {
    const [h, q, l] = [remembering(), remembering(), remembering()];
    const { engine, load } = await engineOf(WITHOUT_BAD + rulesOf('one'), { h, q, l });
    await engine.use(await load(WITHOUT_BAD + rulesOf('two')));
    await vi.waitFor(() => {
      expect(h.forgotten.map((one) => typeof one)).toEqual(['function']);
      expect(q.forgotten).toEqual([{ counter: 'quota-one' }]);
      expect(l.forgotten).toEqual(['report-one']);
    });
    await engine.drain();
    expect(
      [h, q, l].map(({ forgotten }) => forgotten.length),
      'a handler that closes needs not forget',
    ).toEqual([1, 1, 1]);
  });

  test('is forgotten after the reports that wait for it are written', async () => {
    const written: unknown[] = [];
    const l = remembering({
      async write(entries) {
        await pause(5);
        written.push(...entries.map(({ sink }) => [sink, l.forgotten.includes(sink)]));
      },
    });
    const { engine, load, log } = await engineOf(WITHOUT_BAD + rulesOf('one'), { l });
    await log();
    await engine.use(await load(WITHOUT_BAD + rulesOf('two')));
    await vi.waitFor(() => expect(l.forgotten).toEqual(['report-one']));
    expect(written).toEqual([['report-one', false]]);
  });

  test('is forgotten after the calls that use it', async () => {
    let answer: ((answer: CheckAnswer) => void) | undefined;
    const h = remembering({
      check: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const { engine, load, http } = await engineOf(WITHOUT_BAD + rulesOf('one'), { h });
    const inFlight = http();
    await engine.use(await load(WITHOUT_BAD + rulesOf('two')));
    await pause(10);
    expect(h.forgotten).toEqual([]);
    answer?.(allow());
    await inFlight;
    await vi.waitFor(() => expect(h.forgotten.length).toBe(1));
  });

  test('leaves nothing behind when policies are refused, or prepared and abandoned, however often', async () => {
    const [h, q, l] = [remembering(), remembering(), remembering()];
    let opens = true;
    const bad = {
      open: () => {
        if (!opens) throw new Error('no');
      },
    };
    const { engine, load, metrics } = await engineOf(WITHOUT_BAD + rulesOf('kept'), { h, q, l, bad });
    const rows = (): number => engine.families.reduce((sum, { read }) => sum + [...read()].length, 0);
    const [rowsBefore, metricsBefore] = [rows(), await metrics()];
    for (let at = 0; at < 50; at++) {
      opens = at % 2 === 0;
      const text =
        HANDLERS.replace('  bad:', `  bad-${at}:`) + rulesOf(`${at}`) + rulesOf(`more-${at}`).replace('rules:\n', '');
      const preparing = engine.prepare(await load(text));
      if (opens) await (await preparing).abandon();
      else await expect(preparing).rejects.toThrow(/CORE_HANDLER_OPEN/);
    }
    await vi.waitFor(() => {
      for (const { forgotten } of [h, q, l]) expect(forgotten.length).toBe(50); // two rules of the 25 that were opened
    });
    expect(rows()).toBe(rowsBefore);
    expect(await metrics()).toBe(metricsBefore);
  });

  test('is forgotten in slices: 20 000 rules of a policy block nobody for long', async () => {
    const h = remembering();
    const { engine, load, http } = await engineOf(WITHOUT_BAD + rulesOf('one'), { h });
    const many = (name: string): string =>
      `${WITHOUT_BAD}rules:\n${Array.from({ length: 20_000 }, (_, at) => `  - { name: ${name}-${at}, match: 'request.path == "/${at}"', check: { handler: h, input: {} } }\n`).join('')}`;
    await engine.use(await load(many('a')));
    const next = await load(many('b'));
    const { longestCpuMs } = await loopTurnsOf(async () => {
      await engine.use(next);
      await vi.waitFor(() => expect(h.forgotten.length).toBe(20_001), { timeout: 30_000, interval: 20 });
    });
    expect(longestCpuMs).toBeLessThan(250);
    expect(await http({ 'request.path': '/7' })).toMatchObject({ outcome: 'allow' });
  }, 120_000);
});

test('a drain waits for a reload in progress, which closes what it opened', async () => {
  let open: (() => void) | undefined;
  const kept = counted();
  const late = counted();
  const { engine, load } = await engineOf(policy({ kept: '' }), {
    kept,
    late: {
      ...late,
      open: () =>
        new Promise<void>((resolve) => {
          open = () => {
            late.opened++;
            resolve();
          };
        }),
      close: () => {
        late.closed++;
      },
    },
  });
  const refused = engine.use(await load(policy({ kept: '', late: '' }))).catch((error: unknown) => error);
  await pause(1);
  const drained = engine.drain();
  await pause(1);
  expect([kept.opened, kept.closed], 'what the reload keeps is closed under it').toEqual([1, 0]);
  open?.();
  await drained;
  expect([kept, late].map(({ opened, closed }) => [opened, closed])).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(((await refused) as SnapshotError).findings.map(({ code }) => code)).toEqual(['CORE_DRAINED']);
});

test('a hundred reloads while calls wait leave nothing open', async () => {
  const h = counted({
    check: async () => {
      await pause(Math.random() * 5);
      return allow();
    },
  });
  const { engine, load, http } = await engineOf(policy({ h: '' }), { h });
  const outcomes: Promise<Verdict>[] = [];
  for (let version = 2; version < 102; version++) {
    outcomes.push(Promise.resolve(http()));
    await engine.use(await load(policy({ h: `, version: ${version}` })));
    await pause(1);
  }
  expect(new Set((await Promise.all(outcomes)).map(({ outcome }) => outcome))).toEqual(new Set(['allow']));
  await engine.drain();
  expect([h.opened, h.closed]).toEqual([101, 101]);
});
