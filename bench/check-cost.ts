/**
 * Cost of each kind of rule in a check: the ext_authz method with a loaded policy, without sockets, in CPU time including garbage
 * collection. Each policy has its own process; they take turns in short runs, and the minimum of a process counts, since other load on the
 * machine can only add time.
 *
 *   node bench/check-cost.ts [RUNS] [CHECKOUT]    CHECKOUT: another checkout to compare with, in the same turns
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { CheckResponseSchema } from '../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { load } from '../src/cli/load.ts';
import { createEngine } from '../src/core/engine.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { methodsOf } from '../src/serve/policy/methods.ts';
import type { CallContext, UnaryHandler } from '../src/transport/transport.ts';
import { checkRequest } from './check-request.ts';

const CALLS_A_RUN = 16_384;
/** Calls in one turn of the event loop at a concurrency of 64. */
const CALLS_A_TURN = 64;
const MESSAGES = 256;
const WARM_RUNS = 12;
const PATH = '/envoy.service.auth.v3.Authorization/Check';
const own = resolve(import.meta.dirname, '..');

// ---------------------------------------------------------- policies

const three = await readFile(join(own, 'bench/policy/three-rules.yaml'), 'utf8');
const operators = await readFile(join(own, 'bench/policy/operators.yaml'), 'utf8');
const HANDLERS = operators.slice(operators.indexOf('handlers:'), operators.indexOf('rules:'));
/** A rule of policy/operators.yaml. */
function rule(name: string): string {
  const found = new RegExp(`^ {2}- name: ${name}\n(?: {4}.*\n)+`, 'm').exec(operators);
  if (found === null) throw new Error(`bench/policy/operators.yaml has no rule ${name}`);
  return found[0];
}

const POLICIES: Readonly<Record<string, string>> = {
  'three rules': three,
  'and a text': three.replace(
    '{ x-policy: three }',
    '{ x-policy: three, x-route: "${request.method} ${request.url_path} for ${request.headers[\'x-user\']}" }',
  ),
  'and a list': HANDLERS + three + rule('partners-only'),
  'and a quota': HANDLERS + three + rule('ratings-per-user'),
  'and a shadow rule': three + rule('no-deep-pages'),
  'and a report': HANDLERS + three + rule('checks'),
  'as operators write it': operators,
};

// ---------------------------------------------------------- one policy, in its own process

async function serveRuns(policyFile: string): Promise<void> {
  const registry = await loadBuiltIns();
  const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers });
  const { policy, findings } = await load([policyFile], registry);
  if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  await engine.use(policy);
  const method = methodsOf(engine, () => true).get(PATH);
  if (method?.kind !== 'unary') throw new Error(`${PATH} is no unary method`);
  const check: UnaryHandler = method.handle;

  const requests = Array.from({ length: MESSAGES }, (_, at) => {
    const bytes = checkRequest({
      user: `user-${at % 100}`,
      path: `/ratings/${at}?page=${at % 7}&sort=recent`,
      requestId: randomUUID(),
    });
    return { bytes, from: 0, to: bytes.length };
  });
  const context = new Context();
  const answer = check(requests[0] as (typeof requests)[0], context);
  if (answer instanceof Promise || (fromBinary(CheckResponseSchema, answer).status?.code ?? 0) !== 0)
    throw new Error(`${policyFile}: the request is not allowed at once`);

  process.on('message', (calls: number) => {
    void run(calls).then((ns) => process.send?.(ns));
  });
  process.send?.(0);

  async function run(calls: number): Promise<number> {
    const before = process.cpuUsage();
    for (let at = 0; at < calls;) {
      context.arrivedAtMs = performance.now();
      for (const end = at + CALLS_A_TURN; at < end; at++)
        void check(requests[at % MESSAGES] as (typeof requests)[0], context);
      await new Promise((next) => {
        setImmediate(next);
      });
    }
    const { user, system } = process.cpuUsage(before);
    return ((user + system) * 1000) / calls;
  }
}

/** A call with a timeout of one second, as the transport passes it. */
class Context implements CallContext {
  readonly peer = '127.0.0.1:40000';
  readonly signal = new AbortController().signal;
  readonly draining = this.signal;
  readonly ending = this.signal;
  arrivedAtMs = performance.now();

  metadata(): undefined {}

  get endsAtMs(): number {
    return this.arrivedAtMs + 1000;
  }

  get remainingMs(): number {
    return this.endsAtMs - performance.now();
  }
}

// ---------------------------------------------------------- all of them, in turns

interface Measured {
  readonly process: ChildProcess;
  readonly ns: number[];
}

/** The next message of a process: ready, or the nanoseconds of a run. */
async function next({ process }: Measured): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const ended = (): void => reject(new Error('a measured process has ended'));
  process.once('message', resolve).once('exit', ended);
  try {
    return await promise;
  } finally {
    process.off('message', resolve).off('exit', ended);
  }
}

async function measure(runs: number, checkouts: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const all: Measured[][] = [];
  try {
    for (const [at, policy] of Object.values(POLICIES).entries()) {
      const file = join(folder, `${at}.yaml`);
      await writeFile(file, policy);
      const ofPolicy: Measured[] = [];
      for (const checkout of checkouts) {
        const measured = {
          process: fork(join(checkout, 'bench/check-cost.ts'), ['--policy', file], {
            cwd: checkout,
            execArgv: ['--max-semi-space-size=4', '--max-inlined-bytecode-size-cumulative=2500'],
          }),
          ns: [],
        };
        all.push(ofPolicy);
        await next(measured);
        ofPolicy.push(measured);
      }
    }
    const each = [...new Set(all)].flat();
    for (let at = 0; at < WARM_RUNS + runs; at++) {
      for (const measured of each) {
        const ran = next(measured);
        measured.process.send(CALLS_A_RUN);
        const ns = await ran;
        if (at >= WARM_RUNS) measured.ns.push(ns);
      }
    }
    print([...new Set(all)]);
  } finally {
    for (const { process } of all.flat()) process.kill();
    await rm(folder, { recursive: true });
  }
}

function print(all: readonly Measured[][]): void {
  const least = all.map((ofPolicy) => ofPolicy.map(({ ns }) => Math.min(...ns)));
  const [base = []] = least;
  const columns = base.map((_, at) => (at === 0 ? '' : ' before'));
  console.log(
    `| policy |${columns.map((before) => ` us of CPU a check${before} | more than three rules${before} | times${before} |`).join('')}`,
  );
  console.log(`|---|${columns.map(() => '---:|---:|---:|').join('')}`);
  for (const [at, name] of Object.keys(POLICIES).entries()) {
    const cells = base.map((three, column) => {
      const ns = least[at]?.[column] ?? Number.NaN;
      return ` ${(ns / 1000).toFixed(2)} | ${at === 0 ? '' : ((ns - three) / 1000).toFixed(2)} | ${(ns / three).toFixed(2)} |`;
    });
    console.log(`| ${name} |${cells.join('')}`);
  }
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--policy') await serveRuns(rest[0] ?? '');
else await measure(Number(first ?? 40), [own, ...rest.map((checkout) => resolve(checkout))]);
