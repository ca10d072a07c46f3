/** Proposals in force: they allow the calls that they were made from, and deny calls that differ. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { loadBuiltIns } from '../../../../src/adapters/loading/built-in.ts';
import { plainWire } from '../../../../src/attributes/plain-wire.ts';
import { NO_CALLER, type Verdict } from '../../../../src/core/call.ts';
import { createEngine } from '../../../../src/core/engine.ts';
import { loadPolicyText } from '../../../../src/core/rules/load.ts';
import { SILENT } from '../../../../src/log/log.ts';
import { handlerOpener } from '../../../../src/serve/policy/handler-opener.ts';
import { GROUPINGS } from '../../../../src/traffic/suggest/observations.ts';
import { policyText } from '../../../../src/traffic/suggest/policy-text.ts';
import { fencedBlocks } from '../../../parts/fenced-blocks.ts';
import { Random } from '../../../parts/random.ts';
import { attributesOf, observed, proposed, type SentCall, times } from './calls.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const adapters = await loadBuiltIns();

async function inForce(text: string): Promise<(sent: SentCall) => Promise<Verdict>> {
  const { policy, findings } = await loadPolicyText(new Map([['proposed.yaml', text]]), { adapters });
  expect(findings).toEqual([]);
  if (policy === undefined) throw new Error('the proposal is no policy');
  const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers });
  onTestFinished(async () => engine.drain());
  await engine.use(policy);
  return async (sent) => engine.check('http', plainWire(policy.attributes, attributesOf(sent), {}, 'http'), NO_CALLER);
}

/** Traffic of an invented mesh: places with ids of some kind, each with a few callers. */
function trafficOf(random: Random): SentCall[] {
  const letters = (length: number): string => times(length, () => 'abcdefghijklmnop'.charAt(random.below(16))).join('');
  const digits = (length: number): string => String(random.below(10 ** length)).padStart(length, '0');
  const hex = (length: number): string => times(length, () => '0123456789abcdef'.charAt(random.below(16))).join('');
  const segments: (() => () => string)[] = [
    () => {
      const word = letters(5);
      return () => word;
    },
    () => () => String(random.below(100_000)),
    () => () => `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`,
    () => () => letters(1 + random.below(12)),
    () => () => `order-${digits(3)}.json`,
    () => () => hex(random.one([9, 12, 32, 40])),
    () => () => `${random.one(['a.b', 'x+y', '(z)', 'é', '%C3%A9', '$1', "it's", '^', '~'])}${random.below(3)}`,
    () => () => '',
  ];
  return times(1 + random.below(12), () => {
    const shape = times(1 + random.below(4), () => random.one(segments)());
    const host = random.one(['shop', 'web.example', '10.0.0.7', '[2001:db8::1]']);
    const methods = random.list([1, 2], () => random.one(['GET', 'POST', 'PUT']));
    const principals = random.list([1, 2, 80], (at) =>
      random.chance(9) ? undefined : `cluster.local/ns/${letters(2)}/sa/${letters(2)}${at}`,
    );
    return times(random.one([1, 5, 100]), (at): SentCall => {
      const principal = random.one(principals);
      return {
        method: random.one(methods),
        host: random.chance(5) ? `${host.toUpperCase()}:8080` : host,
        path: `/${shape.map((make) => make()).join('/')}${random.chance(3) ? '?page=2' : ''}`,
        ip: `10.0.${random.below(2)}.${random.below(30)}`,
        atMs: at * 1000,
        ...(principal === undefined ? {} : { principal }),
      };
    });
  }).flat();
}

const SEEDS = times(8, (at) => at + 1);

test.each(SEEDS)('a proposal allows the calls it was made from and denies changed ones (seed %i)', async (seed) => {
  const random = new Random(seed);
  const traffic = trafficOf(random);
  const groupBy = random.one(GROUPINGS);
  const proposal = proposed(traffic, { groupBy });
  if (proposal.rules.length === 0) return;
  const decide = await inForce(policyText(proposal));
  // What was left out proves nothing: those calls are denied, or another's rule covers them.
  const leftOut = proposal.leftOut.map(({ why }) => why);
  expect(leftOut.every((why) => why.startsWith('the path is not plain') || why.startsWith('no method'))).toBe(true);
  const isLeftOut = (sent: SentCall): boolean => observed([sent]).covered === 0;
  const wrong: unknown[] = [];
  for (const sent of traffic) {
    const { outcome, rule } = await decide(sent);
    if (!isLeftOut(sent) && outcome !== 'allow') wrong.push({ sent, outcome, rule });
  }
  const hosts = new Set(proposal.hosts);
  for (const sent of traffic.filter((one) => !isLeftOut(one)).slice(0, 60)) {
    const path = (sent.path ?? '').replace(/\?.*/, '');
    const changed: SentCall[] = [
      { ...sent, method: 'DELETE' },
      { ...sent, path: `${path}/never/asked/for/this/one` },
      { ...sent, path: `/never-asked-for.1${path}` },
    ];
    const callers = proposal.rules.every((one) => one.callers !== undefined);
    const identified = proposal.rules.every(({ match }) => match.includes('source.?principal'));
    if (identified && !proposal.rules.some((one) => one.callers?.includes('') === true)) {
      const { principal: _, ...anonymous } = sent;
      changed.push(anonymous);
    }
    if (callers && proposal.knowsCallers && groupBy === 'principal')
      changed.push({ ...sent, principal: 'cluster.local/ns/evil/sa/x' });
    if (callers && groupBy === 'address') changed.push({ ...sent, ip: '192.0.2.1' });
    for (const one of changed) {
      const { outcome } = await decide(one);
      if (outcome !== 'deny') wrong.push({ changed: one, outcome });
    }
  }
  expect(wrong).toEqual([]);
  expect((await decide({ host: 'never-asked-for', path: '/' })).outcome).toBe('allow');
  expect(hosts.has('never-asked-for')).toBe(false);
});

test('the example of docs/suggest.md is a policy that allows its own examples', async () => {
  const [example] = fencedBlocks('suggest.md').filter(({ language }) => language === 'yaml');
  const decide = await inForce(example?.text ?? '');
  const principal = 'cluster.local/ns/web/sa/front';
  expect((await decide({ path: '/ratings/17', principal })).outcome).toBe('allow');
  expect((await decide({ path: '/ratings/x', principal })).rule).toBe('observed-only');
  expect((await decide({ path: '/ratings//17', principal })).rule).toBe('plain-paths-only');
});

test.each(SEEDS)('a proposal does not depend on the order of the calls (seed %i)', (seed) => {
  const random = new Random(seed);
  const traffic = trafficOf(random);
  const shuffled = traffic
    .map((sent) => ({ sent, at: random.below(1_000_000) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ sent }) => sent);
  expect(policyText(proposed(shuffled, { minCalls: 2 }))).toBe(policyText(proposed(traffic, { minCalls: 2 })));
});

test('a proposal of many names does not depend on the order of the calls', () => {
  const random = new Random(1);
  const name = (at: number): string =>
    `${at.toString(26).replaceAll(/[0-9]/g, (digit) => 'qrstuvwxyz'.charAt(Number(digit)))}`;
  const traffic = times(6000, (at): SentCall => ({ path: `/${name(at % 1500)}/${name(at % 40)}/${at % 7}`, atMs: at }));
  const shuffled = traffic
    .map((sent) => ({ sent, at: random.below(1_000_000) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ sent }) => sent);
  const text = policyText(proposed(traffic));
  expect(text).toContain('# GET shop/{text}/');
  expect(policyText(proposed(shuffled))).toBe(text);
});

test('a proposal whose bounds were reached says what was left out, and still loads', async () => {
  const traffic = times(3000, (at): SentCall => ({ host: `h${at % 40}`, path: `/w${at}x`, principal: `p${at}` }));
  const proposal = proposed(traffic, { bounds: { maxHosts: 20, maxPlaces: 200, maxCounts: 100 } });
  expect(proposal.leftOut.map(({ why }) => why)).toContain('more hosts or paths than there is room for');
  expect(proposal.limits[0]?.warnings.join()).toContain('of the counters, chosen by a hash');
  await inForce(policyText(proposal));
});

test('memory stays bounded over calls that never repeat', () => {
  const random = new Random(7);
  const observations = observed([], { bounds: { maxHosts: 50, maxPlaces: 5000, maxCounts: 2000 } });
  const text = (): string =>
    random
      .below(26 ** 8)
      .toString(36)
      .replaceAll(/[0-9]/g, 'q');
  const heapOf = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const call = (at: number): void =>
    observations.add({
      call: 'http',
      timeMs: at * 1000,
      verdict: undefined,
      requests: [
        {
          attributes: attributesOf({
            host: `${text()}.example`,
            path: `/${text()}/${text()}/${text()}`,
            principal: text(),
          }),
          carried: {},
          filled: {},
          answers: {},
        },
      ],
    });
  for (let at = 0; at < 10_000; at++) call(at);
  const before = heapOf();
  for (let at = 10_000; at < 40_000; at++) call(at);
  expect(heapOf() - before).toBeLessThan(20_000_000);
  expect(observations.hosts.size).toBe(50);
  expect(observations.leftOut.size).toBeLessThan(10);
});
