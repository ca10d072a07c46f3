/**
 * Cost of the border to a plugin: one check handler that allows, behind its gate, in each way to run it. Beside it a direct call of the
 * same function, and a bare unary call of @grpc/grpc-js to another process, in the same run. Then reports, in batches, in each way.
 *
 *   node bench/plugin-border.ts [RUNS]
 */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { CheckAnswer, CheckFunction } from '../src/adapters/contract.ts';
import { createRegistry } from '../src/adapters/registry.ts';
import { NO_CALLER } from '../src/core/call.ts';
import { CallScope } from '../src/core/handlers/call-scope.ts';
import { LiveHandler } from '../src/core/handlers/live-handler.ts';
import { MemoryLetters } from '../src/core/handlers/memory-letters.ts';
import { DEFAULT_REPORT_QUEUE } from '../src/core/handlers/report-queue.ts';
import { HandlerMeters } from '../src/core/metrics/meters.ts';
import { loadPolicyText } from '../src/core/rules/load.ts';
import { SILENT } from '../src/log/log.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { TimerWheel } from '../src/time/timer-wheel.ts';

const RUNS = Number(process.argv[2] ?? 5);
const AT_ONCE = 1_000_000;
const ALONE = 5000;
const TOGETHER = 200_000;
const WINDOW = 64;
const REPORTS = 200_000;
const REPORTS_A_TURN = 1000;
const INPUT = { value: 'user-17' };
const OTHERS_MS = 5000;
const PATH = '/bench.Echo/Check';
const same = (bytes: Buffer): Buffer => bytes;

// ---------------------------------------------------------- a bare gRPC call

async function serveGrpc(address: string): Promise<void> {
  const server = new Server();
  server.addService(
    {
      check: {
        path: PATH,
        requestStream: false,
        responseStream: false,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    { check: (_: unknown, answer: (error: null, value: Buffer) => void) => answer(null, Buffer.from([8, 1])) },
  );
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  process.send?.('ready');
}

// ---------------------------------------------------------- one handler

interface Way {
  readonly name: string;
  /** Answers at once, or by a promise. */
  readonly ask: () => unknown;
  /** Sends it into an endless loop, from which it is restarted. */
  readonly loop: () => unknown;
  /** Absent: it takes none. Resolves when the handler has taken all. */
  readonly report?: (count: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

async function handler(name: string, run: string): Promise<Way> {
  const plugin = join(import.meta.dirname, 'always-allow.ts');
  const text = `plugins: [${plugin}]\nhandlers: { h: { adapter: check-nothing, run: ${run}, deadline: 10s } }\nrules:\n  - { name: r, check: { handler: h, input: { value: request.path } } }\n  - { name: n, calls: [http], report: { handler: h, input: { value: request.path } } }\n`;
  const { policy, findings } = await loadPolicyText(new Map([['p.yaml', text]]), {
    adapters: createRegistry([]),
    env: {},
  });
  const spec = policy?.handlers.get('h');
  if (spec === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  const open = await handlerOpener(SILENT).openHandlers(spec);
  const live = new LiveHandler(spec, open, {
    deadlines: new TimerWheel(),
    log: SILENT,
    meters: new HandlerMeters(),
    reports: DEFAULT_REPORT_QUEUE,
    letters: () => new MemoryLetters(),
    graceMs: () => 1000,
  });
  const check = open.handler.check?.({ rule: 'r', params: undefined }) as CheckFunction;
  const rule = policy?.rules.find(({ name: one }) => one === 'n');
  const { reports } = live;
  if (rule === undefined || reports === undefined) throw new Error(`${name} takes no reports`);
  const sink = open.handler.sink?.({ rule: 'n', params: undefined, input: { value: 'string' } });
  const report = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      const room = reports.push({ sink, id: `bench-${at}`, timeMs: at, input: { value: `/items/${at}` } }, rule);
      await (room ?? (at % REPORTS_A_TURN === 0 ? nextTurn() : undefined));
    }
    await reports.flush();
  };
  const right = (answer: CheckAnswer): string | undefined =>
    answer.kind === 'allow' ? undefined : 'it does not allow';
  const asking = (input: typeof INPUT): unknown =>
    live.gate.ask(check, input, new CallScope('bench-1', 'http', NO_CALLER), 10_000, right);
  const ask = (): unknown => asking(INPUT);
  const first = (await ask()) as CheckAnswer;
  if (first.kind !== 'allow') throw new Error(`${name} does not allow: ${JSON.stringify(first)}`);
  return { name, ask, loop: () => asking({ value: 'loop' }), report, close: () => live.close() };
}

/** The same adapter behind `sluice plugins serve`, in a process of its own. */
async function remote(folder: string): Promise<Way> {
  const address = `unix:${join(folder, 'plugin.sock')}`;
  const [bin, plugin] = ['../src/cli/bin.ts', 'always-allow.ts'].map((file) => join(import.meta.dirname, file));
  const child = spawn(process.execPath, [bin ?? '', 'plugins', 'serve', plugin ?? '', '--listen', address], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for await (const line of createInterface({ input: child.stderr })) if (line.includes('serving plugins')) break;
  const way = await handler('remote', `{ dial: "${address}" }`);
  return {
    ...way,
    async close() {
      await way.close();
      child.kill();
      await once(child, 'exit');
    },
  };
}

async function bare(folder: string): Promise<Way> {
  const address = `unix:${join(folder, 'grpc.sock')}`;
  const child = fork(import.meta.filename, ['serve', address]);
  await once(child, 'message');
  const client = new Client(address, credentials.createInsecure());
  const request = Buffer.from([10, 7, ...Buffer.from('user-17')]);
  return {
    name: 'a bare call of grpc-js',
    ask: () =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(PATH, same, same, request, (error, value) =>
          error === null ? resolve(value) : reject(error),
        );
      }),
    loop: () => undefined,
    async close() {
      client.close();
      child.kill();
      await once(child, 'exit');
    },
  };
}

// ---------------------------------------------------------- measuring

/** Nanoseconds of a call that is answered at once. */
function atOnce(ask: () => unknown): number {
  const beganAtMs = performance.now();
  for (let at = 0; at < AT_ONCE; at++) ask();
  return ((performance.now() - beganAtMs) * 1e6) / AT_ONCE;
}

interface Figures {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly perSecond: number;
}

async function byPromise(ask: () => unknown, window: number, calls: number): Promise<Figures> {
  const us: number[] = [];
  const beganAtMs = performance.now();
  const one = async (): Promise<void> => {
    for (let at = 0; at < calls / window; at++) {
      const askedAtMs = performance.now();
      await ask();
      us.push((performance.now() - askedAtMs) * 1000);
    }
  };
  await Promise.all(Array.from({ length: window }, one));
  const tookMs = performance.now() - beganAtMs;
  us.sort((a, b) => a - b);
  const at = (share: number): number => us[Math.floor(us.length * share)] as number;
  return { p50Us: at(0.5), p99Us: at(0.99), perSecond: (us.length / tookMs) * 1000 };
}

/** 99th percentile of the time that 64 inline calls take, one such batch in each turn of the event loop. */
async function othersP99Us(ask: () => unknown): Promise<number> {
  const us: number[] = [];
  for (const untilMs = performance.now() + OTHERS_MS; performance.now() < untilMs;) {
    const beganAtMs = performance.now();
    for (let at = 0; at < WINDOW; at++) ask();
    us.push((performance.now() - beganAtMs) * 1000);
    await nextTurn();
  }
  return us.toSorted((a, b) => a - b)[Math.floor(us.length * 0.99)] as number;
}

/** The CPU time of a worker, a thread of this process, is counted in. */
async function reported(name: string, report: (count: number) => Promise<void>): Promise<string> {
  const runs: { readonly perSecond: number; readonly cpuUs: number }[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const beganAtMs = performance.now();
    const before = process.cpuUsage();
    await report(REPORTS);
    const { user, system } = process.cpuUsage(before);
    if (run > 0)
      runs.push({ perSecond: (REPORTS / (performance.now() - beganAtMs)) * 1000, cpuUs: (user + system) / REPORTS });
  }
  const perSecond = Math.max(...runs.map((run) => run.perSecond));
  return `| ${name} | ${Math.round(perSecond)} | ${Math.min(...runs.map(({ cpuUs }) => cpuUs)).toFixed(2)} |`;
}

const best = (all: readonly Figures[]): Figures => ({
  p50Us: Math.min(...all.map(({ p50Us }) => p50Us)),
  p99Us: Math.min(...all.map(({ p99Us }) => p99Us)),
  perSecond: Math.max(...all.map(({ perSecond }) => perSecond)),
});
const shown = ({ p50Us, p99Us, perSecond }: Figures): string =>
  `${p50Us.toFixed(0)} | ${p99Us.toFixed(0)} | ${Math.round(perSecond)}`;

async function measure(): Promise<void> {
  const alive = setInterval(() => undefined, 1000); // threads of handlers keep no process alive
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const inline = await handler('inline', 'inline'); // from then on sluice/plugin is found
  const direct = (await import('./always-allow.ts')).default;
  const check = (await direct.open({}, undefined as never)).check?.({ rule: 'r', params: undefined });
  const away = [await handler('worker', 'worker'), await remote(folder), await bare(folder)];
  const call = { id: '', remainingMs: 1000, signal: new AbortController().signal };
  const [directNs, inlineNs]: [number[], number[]] = [[], []];
  const figures = away.map(() => ({ alone: [] as Figures[], together: [] as Figures[] }));
  for (let run = 0; run <= RUNS; run++) {
    const warm = run > 0; // the first run compiles
    const ns = [atOnce(() => check?.(INPUT, call)), atOnce(inline.ask)] as const;
    if (warm) {
      directNs.push(ns[0]);
      inlineNs.push(ns[1]);
    }
    for (const [at, { ask }] of away.entries()) {
      const alone = await byPromise(ask, 1, ALONE);
      const together = await byPromise(ask, WINDOW, TOGETHER / (at === away.length - 1 ? 10 : 1));
      if (warm) figures[at]?.alone.push(alone);
      if (warm) figures[at]?.together.push(together);
    }
  }
  const [least, leastInline] = [Math.min(...directNs), Math.min(...inlineNs)];
  console.log(
    `a direct call ${least.toFixed(0)} ns, inline ${leastInline.toFixed(0)} ns: the gate adds ${(leastInline - least).toFixed(0)} ns\n`,
  );
  console.log('| | 1x1 p50 us | p99 us | calls/s | 1x64 p50 us | p99 us | calls/s |\n|---|---|---|---|---|---|---|');
  for (const [at, { name }] of away.entries()) {
    const { alone = [], together = [] } = figures[at] ?? {};
    console.log(`| ${name} | ${shown(best(alone))} | ${shown(best(together))} |`);
  }
  console.log('\n| reports to it | entries/s | CPU us each in this process |\n|---|---|---|');
  for (const { name, report } of [inline, ...away]) if (report !== undefined) console.log(await reported(name, report));
  const [worker] = away;
  const quiet: number[] = [];
  const besideLoop: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    quiet.push(await othersP99Us(inline.ask));
    const looping = setInterval(() => worker?.loop(), 100);
    besideLoop.push(await othersP99Us(inline.ask));
    clearInterval(looping);
  }
  const [quietUs, loopUs] = [Math.min(...quiet), Math.min(...besideLoop)];
  console.log(
    `\n64 inline calls beside a worker that loops and is restarted: p99 ${loopUs.toFixed(0)} us, ${quietUs.toFixed(0)} us without (${(loopUs / quietUs).toFixed(2)})`,
  );
  await Promise.all([inline, ...away].map((one) => one.close()));
  await rm(folder, { recursive: true });
  clearInterval(alive);
}

const [, , command = '', address = ''] = process.argv;
await (command === 'serve' ? serveGrpc(address) : measure());
