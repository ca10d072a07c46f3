/**
 * Cost of an expression, compared with hand-written JavaScript over the same bag and with other implementations of CEL.
 * `npm run bench:expressions`: medians of rounds that alternate in one process.
 */
import { spawnSync } from 'node:child_process';
import { parse as bufbuildParse, plan as bufbuildPlan, celEnv } from '@bufbuild/cel';
import { Environment as MarcEnvironment } from '@marcbachmann/cel-js';
import { Attributes } from '../src/attributes/attributes.ts';
import type { Bag } from '../src/attributes/bag.ts';
import type { Value } from '../src/attributes/values.ts';
import { VOCABULARY } from '../src/attributes/vocabulary.ts';
import { compile } from '../src/expression/index.ts';
import { median } from './figures.ts';

const attributes = new Attributes(VOCABULARY);
const slot = (name: string): number => attributes.slotOf(name) ?? -1;
const [METHOD, PATH, HEADERS, PRINCIPAL, SIZE] = [
  'request.method',
  'request.url_path',
  'request.headers',
  'source.principal',
  'request.size',
].map(slot) as [number, number, number, number, number];
const PATTERN = /^\/api\/v[0-9]+\/users\/[^/]+$/;

/** A string as a decoder creates it: not internalized. */
const flat = (text: string): string => Buffer.from(text).toString('latin1');

const REFERENCE: readonly {
  readonly name: string;
  readonly source: string;
  readonly byHand: (bag: Bag) => boolean | undefined;
}[] = [
  {
    name: 'a: two comparisons',
    source: 'request.method == "GET" && request.size > 1024',
    byHand: (bag) => {
      const method = bag.get(METHOD);
      if (method !== undefined && method !== 'GET') return false;
      const size = bag.get(SIZE);
      return size === undefined || method === undefined ? undefined : (size as number) > 1024;
    },
  },
  {
    name: 'b: a prefix, a header, a set',
    source:
      'request.url_path.startsWith("/api/") && request.headers[?"x-user"].orValue("") != "root" && request.method in ["GET", "HEAD", "POST"]',
    byHand: (bag) => {
      const path = bag.get(PATH) as string | undefined;
      if (path?.startsWith('/api/') === false) return false;
      const headers = bag.get(HEADERS) as ReadonlyMap<string, string> | undefined;
      const user = headers === undefined ? undefined : (headers.get('x-user') ?? '');
      if (user === 'root') return false;
      const method = bag.get(METHOD);
      if (method !== undefined && method !== 'GET' && method !== 'HEAD' && method !== 'POST') return false;
      return path === undefined || user === undefined || method === undefined ? undefined : true;
    },
  },
  {
    name: 'c: a pattern',
    source: 'request.method == "GET" && request.url_path.matches("^/api/v[0-9]+/users/[^/]+$")',
    byHand: (bag) => {
      const method = bag.get(METHOD);
      if (method !== undefined && method !== 'GET') return false;
      const path = bag.get(PATH) as string | undefined;
      return path === undefined || method === undefined ? undefined : PATTERN.test(path);
    },
  },
  {
    name: 'd: presence and choice',
    source:
      'has(source.principal) ? source.principal.startsWith("cluster.local/ns/shop/") : request.method == "GET" || request.method == "HEAD"',
    byHand: (bag) => {
      const principal = bag.get(PRINCIPAL) as string | undefined;
      if (principal !== undefined) return principal.startsWith('cluster.local/ns/shop/');
      const method = bag.get(METHOD);
      return method === undefined ? undefined : method === 'GET' || method === 'HEAD';
    },
  },
];

class SlotBag implements Bag {
  readonly #values: readonly (Value | undefined)[];
  constructor(values: readonly (Value | undefined)[]) {
    this.#values = values;
  }
  get(wanted: number): Value | undefined {
    return this.#values[wanted];
  }
}

const requests = Array.from({ length: 64 }, (_, at) => ({
  method: flat(['GET', 'POST', 'GET', 'HEAD'][at % 4] ?? ''),
  path: flat(`/${at % 3 === 0 ? 'web' : 'api'}/v${at % 5}/users/${at}${at % 7 === 0 ? '/x' : ''}`),
  user: at % 2 === 0 ? flat(`user-${at}`) : undefined,
  principal: at % 3 === 0 ? undefined : flat(`cluster.local/ns/${at % 2 === 0 ? 'shop' : 'web'}/sa/default`),
  size: at * 64,
}));
const bags = requests.map(({ method, path, user, principal, size }) => {
  const values: (Value | undefined)[] = Array.from({ length: attributes.size });
  values[METHOD] = method;
  values[PATH] = path;
  values[HEADERS] = new Map<Value, Value>(user === undefined ? [] : [['x-user', user]]);
  values[PRINCIPAL] = principal;
  values[SIZE] = size;
  return new SlotBag(values);
});
const objects = requests.map(({ method, path, user, principal, size }) => ({
  request: { method, url_path: path, headers: user === undefined ? {} : { 'x-user': user }, size: BigInt(size) },
  source: principal === undefined ? {} : { principal },
}));

let sink = 0;
/** ns per evaluation. */
function measured(evaluate: (at: number) => unknown, ms = 60): number {
  const beganAtMs = performance.now();
  let count = 0;
  while (performance.now() - beganAtMs < ms) {
    for (let at = 0; at < 64; at++) if (evaluate(at) === true) sink += 1;
    count += 64;
  }
  return ((performance.now() - beganAtMs) * 1e6) / count;
}

function inTurns(ways: Readonly<Record<string, (at: number) => unknown>>, rounds = 7): Record<string, number> {
  const taken = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  for (const evaluate of Object.values(ways)) measured(evaluate, 200); // warm-up
  for (let round = 0; round < rounds; round++)
    for (const [name, evaluate] of Object.entries(ways)) taken.get(name)?.push(measured(evaluate));
  return Object.fromEntries([...taken].map(([name, values]) => [name, median(values)]));
}

function compiled(source: string, backEnd: 'generated' | 'closures'): (bag: Bag) => unknown {
  const { compiled: made, problems } = compile(source, attributes, { backEnd });
  if (made === undefined) throw new Error(problems.map(({ message }) => message).join('; '));
  return made.evaluate;
}

/** cel-go's ns by expression (cel-go/main.go, medians of as many rounds); `undefined` without Go. */
function byCelGo(): Record<string, number> {
  const expressions = Object.fromEntries(REFERENCE.map(({ name, source }) => [name, source]));
  const { status, stdout, stderr, error } = spawnSync('go', ['run', '.'], {
    cwd: new URL('cel-go', import.meta.url),
    input: JSON.stringify({ expressions, requests }),
    encoding: 'utf8',
  });
  if (error !== undefined) return {};
  if (status !== 0) throw new Error(`cel-go: ${stderr}`);
  return JSON.parse(stdout) as Record<string, number>;
}

const celGo = byCelGo();
console.log('| expression | by hand, ns | generated | closures | @bufbuild/cel | @marcbachmann/cel-js | cel-go |');
console.log('|---|---:|---:|---:|---:|---:|---:|');
const marc = new MarcEnvironment({ unlistedVariablesAreDyn: true, enableOptionalTypes: true });
for (const { name, source, byHand } of REFERENCE) {
  const [generated, closures] = [compiled(source, 'generated'), compiled(source, 'closures')];
  for (const bag of bags)
    if (generated(bag) !== byHand(bag) || closures(bag) !== byHand(bag)) throw new Error(`${name}: they differ`);
  const ways: Record<string, (at: number) => unknown> = {
    hand: (at) => byHand(bags[at] as Bag),
    generated: (at) => generated(bags[at] as Bag),
    closures: (at) => closures(bags[at] as Bag),
  };
  const isPlain = !source.includes('[?'); // other implementations lack optional syntax
  if (isPlain) {
    const bufbuild = bufbuildPlan(celEnv(), bufbuildParse(source));
    ways['bufbuild'] = (at) => bufbuild(objects[at] as never);
  }
  const parsed = marc.parse(source);
  ways['marc'] = (at) => parsed(objects[at]);
  const ns = inTurns(ways);
  const hand = ns['hand'] ?? 1;
  const ratio = (taken: number | undefined, without: string): string =>
    taken === undefined ? without : `${(taken / hand).toFixed(1)}x`;
  const inJavaScript = ['generated', 'closures', 'bufbuild', 'marc'].map((key) => ratio(ns[key], 'not its syntax'));
  console.log(`| ${[name, hand.toFixed(1), ...inJavaScript, ratio(celGo[name], 'no Go here')].join(' | ')} |`);
}

console.log('\n| different programs, all evaluated in turn | generated, ns each | closures, ns each |');
console.log('|---:|---:|---:|');
const SHAPES = [
  (at: number) => `request.method == "M${at}" && request.size > ${at}`,
  (at: number) => `request.url_path.startsWith("/api/${at}/") || request.method == "GET" && request.size == ${at}`,
  (at: number) => `request.headers[?"x-user"].orValue("") == "user-${at}"`,
  (at: number) => `has(source.principal) && source.principal != "p${at}"`,
  (at: number) => `request.method in ["A${at}", "B${at}"] || request.url_path.endsWith("${at}")`,
];
for (const count of [200, 2000, 10_000]) {
  const of = (backEnd: 'generated' | 'closures') =>
    Array.from({ length: count }, (_, at) =>
      compiled((SHAPES[at % SHAPES.length] ?? SHAPES[0])?.(at) ?? 'true', backEnd),
    );
  const [generated, closures] = [of('generated'), of('closures')];
  const all =
    (programs: readonly ((bag: Bag) => unknown)[]) =>
    (at: number): unknown => {
      let last: unknown;
      for (const program of programs) last = program(bags[at] as Bag);
      return last;
    };
  const once = (run: (at: number) => unknown): number => {
    const beganAtMs = performance.now();
    let calls = 0;
    for (let at = 0; performance.now() - beganAtMs < 400; at = (at + 1) % 64) {
      run(at);
      calls += 1;
    }
    return ((performance.now() - beganAtMs) * 1e6) / (calls * count);
  };
  const [a, b] = [all(generated), all(closures)];
  once(a);
  once(b);
  const taken = [0, 1, 2, 3, 4].map(() => [once(a), once(b)] as const);
  console.log(
    `| ${count} | ${median(taken.map(([ns]) => ns)).toFixed(1)} | ${median(taken.map(([, ns]) => ns)).toFixed(1)} |`,
  );
}

const texts = Array.from(
  { length: 20_000 },
  (_, at) =>
    `destination.service.name == "svc-${at}" && request.method == "GET" && request.url_path.startsWith("/v1/${at}")`,
);
for (const text of texts.slice(0, 5000)) compile(text, attributes);
const beganAtMs = performance.now();
for (const text of texts) compile(text, attributes);
console.log(
  `\nparse, check and compile: ${(((performance.now() - beganAtMs) * 1000) / texts.length).toFixed(1)} us for a rule of three comparisons`,
);
if (sink < 0) console.log(sink);
