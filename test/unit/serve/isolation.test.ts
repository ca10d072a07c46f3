/** One handler at fault, in each way to run it: no other rule's verdict changes, and its own are right again afterwards. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../../../src/adapters/testing/index.ts';
import type { Caller } from '../../../src/core/call.ts';
import type { HandlerState } from '../../../src/core/handlers/live-handler.ts';
import { type RunningPolicy, runPolicy } from '../../parts/running-policy.ts';
import { WAYS_TO_RUN } from '../../parts/ways-to-run.ts';

const PLUGIN = join(import.meta.dirname, '../../parts/faulty/adapter.ts');

const policyOf = (run: string, config = '{}', more = ''): string => `
plugins: [${PLUGIN}]
handlers:
  faulty: { adapter: check-faulty, config: ${config}, run: ${run}, deadline: 500ms, concurrency: 2000, breaker: { failures: 100000 } }
  steady: { adapter: check-steady }
rules:
  - { name: ask-faulty, match: 'request.path.startsWith("/faulty")', check: { handler: faulty, input: { path: request.path } } }
  - { name: ask-steady, check: { handler: steady, input: { path: request.path } } }
${more}`;

interface Running extends RunningPolicy {
  /** `allow`, `deny` or `failed`, and why. */
  readonly ask: (path: string, caller?: Caller) => Promise<string>;
  readonly faulty: () => HandlerState;
  /** The verdicts of the other handler. */
  readonly others: () => Promise<void>;
}

async function running(text: string): Promise<Running> {
  const policy = await runPolicy(text);
  const { engine } = policy;
  const ask = async (path: string, caller?: Caller): Promise<string> => {
    const { outcome, reasons } = await policy.check({ 'request.method': 'GET', 'request.path': path }, caller);
    return outcome === 'allow' ? 'allow' : `${outcome}: ${reasons[0]?.text}`;
  };
  return {
    ...policy,
    ask,
    faulty: () => engine.handlers().find(({ name }) => name === 'faulty') as HandlerState,
    async others() {
      expect(await Promise.all(['/a', '/a/no', '/later', '/b/no'].map((path) => ask(path)))).toEqual([
        'allow',
        'deny: steady refused: it ends in no',
        'allow',
        'deny: steady refused: it ends in no',
      ]);
    },
  };
}

/** Lines about the handler at fault, above info. */
const complaints = ({ logged }: Running): string[] =>
  logged.filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => message);

describe.each(WAYS_TO_RUN)('a handler $name', ({ run, isApart }) => {
  test.each([
    ['hangs', 'hang', /^failed: \[check-faulty\/faulty\] has not answered within \d+ ms/],
    ['throws', 'throw', /^failed: .*TypeError: thrown by the check/],
    ['rejects', 'reject', /^failed: .*RangeError: rejected by the check/],
    ['is unavailable', 'unavailable', /^failed: \[check-faulty\/faulty\] its backend is away/],
    ['answers a number', 'number', /^failed: \[check-faulty\/faulty\] error in the plugin/],
    ['answers nothing', 'nothing', /^failed: \[check-faulty\/faulty\] error in the plugin/],
    ['answers an unknown kind', 'wrong-kind', /^failed: \[check-faulty\/faulty\] error in the plugin/],
    [
      'answers what throws when it is read',
      'throws-when-read',
      /^failed: \[check-faulty\/faulty\] error in the plugin.*do not read/,
    ],
  ])('that %s fails its own call only, and is logged once', async (_, fault, says) => {
    const served = await running(policyOf(run));
    const asked = Array.from({ length: 20 }, () => served.ask(`/faulty/${fault}`));
    await served.others();
    for (const answer of await Promise.all(asked)) expect(answer).toMatch(says);
    await served.others();
    expect(await served.ask('/faulty/fine')).toBe('allow');
    expect(complaints(served).length).toBeLessThanOrEqual(1);
  });

  test('whose answer cannot be cloned fails that call alone', async () => {
    const served = await running(policyOf(run));
    const [fine, bad] = await Promise.all([served.ask('/faulty/fine'), served.ask('/faulty/uncloneable')]);
    expect(fine).toBe('allow');
    expect(bad).toMatch(
      isApart ? /^failed: .*its answer cannot be passed to the host/ : /^failed: .*no output "compare" is declared/,
    );
  });

  test('that rejects a rule refuses the policy at the position of the rule; the last good one stays', async () => {
    const served = await running(policyOf(run));
    const bad = policyOf(
      run,
      '{}',
      `  - name: bad-rule\n    check: { handler: faulty, params: { bad: true }, input: { path: request.path } }\n`,
    );
    await expect(served.load(bad).then((policy) => served.engine.use(policy))).rejects.toThrow(
      /^p\.yaml:9:5 CORE_RULE_PREPARE the rule bad-rule could not be prepared: \[check-faulty\/faulty\] bad-rule is bad$/,
    );
    await served.load(policyOf(run));
    await served.others();
    expect(await served.ask('/faulty/fine')).toBe('allow');
  });

  test('that does not close is abandoned after its time', async () => {
    const served = await running(policyOf(run, '{ hangsIn: close }'));
    expect(await served.ask('/faulty/fine')).toBe('allow');
    const beganAtMs = performance.now();
    await served.engine.drain();
    expect(performance.now() - beganAtMs).toBeLessThan(3000);
    expect(complaints(served)).toEqual(['close() does not return and is abandoned']);
  });

  test('with an error that nobody catches goes on; the error is attributed to it', async () => {
    if (!isApart) return; // see test/e2e/faulty-plugins.test.ts: the test runner listens itself
    const served = await running(policyOf(run));
    expect(await served.ask('/faulty/forgotten')).toBe('allow');
    expect(await served.ask('/faulty/timer')).toBe('allow');
    await eventually(() =>
      expect(served.escaped.counts()).toEqual([{ origin: 'plugin', plugin: 'check-faulty', count: 2 }]),
    );
    expect(served.faulty().restarts).toBe(0);
    expect(await served.ask('/faulty/fine')).toBe('allow');
  });
});

test.concurrent.each(WAYS_TO_RUN)('a handler $name that does not open is refused at its position', async ({ run }) => {
  await expect(running(policyOf(run, '{ hangsIn: open }'))).rejects.toThrow(
    /^p\.yaml:4:\d+ CORE_HANDLER_OPEN .*\[check-faulty\/faulty\] not open after 10000 ms/,
  );
});

describe.each(WAYS_TO_RUN.filter(({ isApart }) => isApart))('a handler $name', ({ run }) => {
  test.each([
    ['loops', 'loop', /it was blocked for 1000 ms/],
    ['exits', 'exit', /process exited with code 7/],
    ['leaks objects', 'leak-heap', /needed more memory than its limit of 64 MiB/],
    ['leaks buffers', 'leak-buffers', /needed .*than its limit|was blocked/],
  ])('that %s in the middle of 1 000 calls is started again, and is logged once', async (_, fault, says) => {
    const served = await running(policyOf(run).replace('deadline: 500ms', 'deadline: 20s'));
    const patient: Caller = { remainingMs: 20_000, signal: undefined };
    const calls = Array.from({ length: 1000 }, (_one, at) =>
      served.ask(at === 500 ? `/faulty/${fault}` : '/faulty/hang', patient),
    );
    let hasEnded = false;
    const ended = Promise.all(calls).finally(() => {
      hasEnded = true;
    });
    while (!hasEnded) {
      await served.others();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const answer of await ended) expect(answer).toMatch(/^failed: \[check-faulty\/faulty\] it ended: /);
    await eventually(async () => expect(await served.ask('/faulty/fine')).toBe('allow'));
    await served.others();
    expect(served.faulty()).toMatchObject({
      ready: true,
      restarts: 1,
      lastError: { why: expect.stringMatching(says) as string },
    });
    expect(complaints(served)).toEqual(['a handler ended; its calls fail until it is open again']);
    expect(served.logged.at(-1)?.message).toBe('a handler runs again');
  });

  test('that loops while it closes is ended', async () => {
    const served = await running(policyOf(run, '{ loopsIn: close }'));
    expect(await served.ask('/faulty/fine')).toBe('allow');
    await served.engine.drain();
  });

  test('that loops on one rule is refused with that rule, and serves the others', async () => {
    const served = await running(policyOf(run, '{ loopsIn: prepare }'));
    const looping = policyOf(
      run,
      '{ loopsIn: prepare }',
      `  - { name: loops, check: { handler: faulty, input: { path: request.path } } }\n  - { name: fine, check: { handler: faulty, input: { path: request.path } } }\n`,
    );
    await expect(served.load(looping).then((policy) => served.engine.use(policy))).rejects.toThrow(
      /^p\.yaml:9:5 CORE_RULE_PREPARE the rule loops could not be prepared: .*the handler ended twice while it prepared the rule: it was blocked.*$/,
    );
    await served.load(policyOf(run, '{ loopsIn: prepare }'));
    await served.others();
    await eventually(async () => expect(await served.ask('/faulty/fine')).toBe('allow'));
  });

  test('whose host is blocked itself is not taken for silent', async () => {
    const served = await running(policyOf(run));
    const untilMs = performance.now() + 2500;
    while (performance.now() < untilMs);
    expect(await served.ask('/faulty/fine')).toBe('allow');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(served.faulty().restarts).toBe(0);
  });

  test('prints into its log', async () => {
    const served = await running(policyOf(run));
    expect(await served.ask('/faulty/print')).toBe('allow');
    await eventually(() =>
      expect(served.logged).toContainEqual({
        level: 'info',
        message: 'printed by the check',
        fields: { handler: 'faulty', adapter: 'check-faulty', from: 'console' },
      }),
    );
  });
});
