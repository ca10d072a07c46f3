/**
 * Cost of many rules: loading them, and finding the rules that may apply to a request, compared with evaluating each rule.
 * `node bench/rules.ts` prints a table; each row comes from its own process, as medians of alternating rounds.
 */
import { execFileSync } from 'node:child_process';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { parseIp } from '../src/attributes/network.ts';
import type { Bag } from '../src/attributes/bag.ts';
import type { Value } from '../src/attributes/values.ts';
import { RuleIndex } from '../src/core/match/rule-index.ts';
import { TimeSlice } from '../src/time/time-slice.ts';
import { loadPolicyText } from '../src/core/rules/load.ts';
import type { Policy } from '../src/core/rules/policy.ts';
import type { Rule } from '../src/core/rules/rule.ts';
import { median } from './figures.ts';

type Form = (at: number) => string;
const SIMPLE: Form = (at) =>
  `destination.service.name == "svc-${at}" && request.method == "GET" && request.url_path.startsWith("/v1/")`;
const MIXED: readonly Form[] = [
  SIMPLE,
  (at) => `destination.service.name in ["svc-${at}", "svc-${at + 1}", "svc-${at + 2}"] && request.method != "GET"`,
  (at) =>
    `cidr("10.${at % 250}.${Math.floor(at / 250) % 250}.0/24").containsIP(source.ip) && destination.service.name == "svc-${at}"`,
  (at) => `request.url_path.startsWith("/v1/${at}/") || request.headers[?"x-tenant"].orValue("") == "tenant-${at}"`,
  (at) => `has(source.principal) && source.principal == "cluster.local/ns/n${at}/sa/default"`,
];
const mixed: Form = (at) => (MIXED[at % MIXED.length] ?? SIMPLE)(at);

/** Files of 1000 rules. */
const policyOf = (count: number, form: Form): Map<string, string> => {
  const files = new Map<string, string>();
  for (let from = 0; from < count; from += 1000) {
    const rules = Array.from(
      { length: Math.min(1000, count - from) },
      (_, at) =>
        `  - name: rule-${from + at}\n    match: '${form(from + at)}'\n    deny: { status: 403 }\n    calls: [http]\n`,
    );
    files.set(`rules-${from}.yaml`, `rules:\n${rules.join('')}`);
  }
  return files;
};

/** Four in five match the service, path and tenant of a rule. */
function bags(policy: Policy, count: number): Bag[] {
  const slot = (name: string): number => policy.attributes.slotOf(name) ?? -1;
  const names = [
    'destination.service.name',
    'request.method',
    'request.url_path',
    'request.headers',
    'source.ip',
    'source.principal',
  ].map(slot);
  return Array.from({ length: 1024 }, (_, at) => {
    const which = at % 5 === 0 ? count + at : Math.floor(Math.random() * count);
    const values: (Value | undefined)[] = [];
    [
      `svc-${which}`,
      at % 2 === 0 ? 'GET' : 'POST',
      `/v1/${which}/items`,
      new Map<Value, Value>([['x-tenant', `tenant-${which}`]]),
      parseIp(`10.${which % 250}.7.9`),
      `cluster.local/ns/n${which}/sa/default`,
    ].forEach((value, index) => {
      values[names[index] ?? 0] = value;
    });
    return { get: (wanted: number) => values[wanted] };
  });
}

function nsPerRequest(requests: readonly Bag[], matching: (bag: Bag) => number, atLeastMs: number): number {
  let calls = 0;
  let sum = 0;
  const beganAt = process.hrtime.bigint();
  do {
    for (const bag of requests) {
      sum += matching(bag);
      calls += 1;
      if (calls % 16 === 0 && Number(process.hrtime.bigint() - beganAt) > atLeastMs * 1e6)
        return Number(process.hrtime.bigint() - beganAt) / calls;
    }
  } while (sum >= 0);
  return 0;
}

/** The match of a prepared rule. */
type Matches = NonNullable<Rule['match']>['evaluate'];

const applying = (rules: readonly Matches[], bag: Bag): number => {
  let count = 0;
  for (const matches of rules) if (matches(bag) === true) count += 1;
  return count;
};

interface Row {
  readonly loadS: number;
  readonly keptMb: number;
  readonly peakMb: number;
  readonly indexMs: number;
  readonly askedNs: number;
  readonly indexedNs: number;
}

const heapMb = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1e6;
};

async function rowOf(count: number, form: Form): Promise<Row> {
  const adapters = await loadBuiltIns();
  await loadPolicyText(policyOf(1000, form), { adapters }); // warm-up
  const files = policyOf(count, form);
  const before = heapMb();
  const beganAtMs = performance.now();
  const { policy, findings } = await loadPolicyText(files, { adapters });
  const loadS = (performance.now() - beganAtMs) / 1000;
  if (policy === undefined)
    throw new Error(
      findings
        .map(({ message }) => message)
        .slice(0, 3)
        .join('\n'),
    );
  const all = policy.rules.flatMap(({ match }) => (match === undefined ? [] : [match.evaluate]));
  const guards = new Map(
    policy.rules.flatMap(({ match }) => (match === undefined ? [] : [[match.evaluate, match.guards]])),
  );
  const indexAtMs = performance.now();
  const index = await RuleIndex.of(all, (matches) => guards.get(matches) ?? [], new TimeSlice());
  const indexMs = performance.now() - indexAtMs;
  const peakMb = process.resourceUsage().maxRSS / 1024; // maxRSS is in KiB
  const keptMb = heapMb() - before;
  const requests = bags(policy, count);
  for (const bag of requests.slice(0, 20))
    if (applying(all, bag) !== applying(index.candidates(bag), bag)) throw new Error('the index misses a rule');
  const linear: number[] = [];
  const indexed: number[] = [];
  nsPerRequest(requests, (bag) => applying(index.candidates(bag), bag), 300);
  for (let round = 0; round < 5; round++) {
    linear.push(nsPerRequest(requests, (bag) => applying(all, bag), 100));
    indexed.push(nsPerRequest(requests, (bag) => applying(index.candidates(bag), bag), 100));
  }
  return { loadS, keptMb, peakMb, indexMs, askedNs: median(linear), indexedNs: median(indexed) };
}

const FORMS: Readonly<Record<string, Form>> = { simple: SIMPLE, mixed };
const [wantedForm, wantedCount] = process.argv.slice(2);
if (wantedForm !== undefined) {
  console.log(JSON.stringify(await rowOf(Number(wantedCount), FORMS[wantedForm] ?? SIMPLE)));
} else {
  console.log(
    '| rules | form | load s | kept KB/rule | peak RSS MiB | index ms | each asked, ns | indexed, ns | times of 10 |',
  );
  console.log('|---:|---|---:|---:|---:|---:|---:|---:|---:|');
  for (const form of Object.keys(FORMS)) {
    let ofTen = 0;
    for (const count of [10, 1000, 10_000, 100_000]) {
      const { loadS, keptMb, peakMb, indexMs, askedNs, indexedNs } = JSON.parse(
        execFileSync(process.execPath, ['--expose-gc', import.meta.filename, form, String(count)], {
          encoding: 'utf8',
        }),
      ) as Row;
      if (count === 10) ofTen = indexedNs;
      const kept = count === 10 ? '' : ((keptMb * 1000) / count).toFixed(1);
      console.log(
        `| ${count} | ${form} | ${loadS.toFixed(2)} | ${kept} | ${peakMb.toFixed(0)} | ${indexMs.toFixed(0)} | ${askedNs.toFixed(0)} | ${indexedNs.toFixed(0)} | ${(indexedNs / ofTen).toFixed(1)} |`,
      );
    }
  }
}
