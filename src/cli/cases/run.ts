/**
 * Runs the cases of `sluice test`.
 * **In**: a case and its loaded policy. **Out**: the differences from the expected results.
 * **Fails**: never; a case that cannot run fails with the reason.
 */
import type { Adapter, Host } from '../../adapters/contract.ts';
import { createEngine } from '../../core/engine.ts';
import { durationMs } from '../../time/duration.ts';
import type { HandlerSpec, Policy } from '../../core/rules/policy.ts';
import { differences } from './compare.ts';
import { CASE_MS, type Driver, inProcess } from './driver.ts';
import { caseHandlers } from './handlers.ts';
import type { Case, Want } from './schema.ts';
import type { Observed, ObservedReport } from './observed.ts';
import { counted } from '../../text/counted.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Position } from '../../yaml/source-text.ts';
import type { OpenHandler } from '../../adapters/open-handler.ts';

export interface CaseResult {
  readonly name: string;
  readonly position: Position;
  /** One sentence each; empty if the case passed. */
  readonly failures: readonly string[];
}

export interface RunOptions {
  readonly adapters: { get(name: string): Adapter | undefined };
  /** Opens an adapter as it is, with the case's clock. */
  readonly open: (adapter: Adapter, spec: HandlerSpec, config: unknown, clock: Host['clock']) => Promise<OpenHandler>;
  /** Default: in process. Its result is disposed of after each case. */
  readonly drive?: (
    engine: ReturnType<typeof createEngine>,
    policy: Policy,
  ) => Promise<{ readonly driver: Driver; readonly end: () => Promise<void> }>;
}

/** Runs one case with its own engine and handlers, so that cases do not share counters. */
export async function runCase(one: Case, policy: Policy, options: RunOptions): Promise<string[]> {
  const memory = options.adapters.get('quota-memory');
  if (memory === undefined)
    throw new Error('the adapter quota-memory, which counts the quotas of cases, is not loaded');
  const clock = caseClock();
  const reports: ObservedReport[] = [];
  const missing = new Set<string>();
  const unknown = Object.keys(one.given).filter((name) => !policy.handlers.has(name));
  if (unknown.length > 0)
    return unknown.map(
      (name) =>
        `given names ${name}, which is not a handler of the policy; known are ${[...policy.handlers.keys()].join(', ')}`,
    );
  const openHandlers = caseHandlers({
    memory,
    given: one.given,
    reports,
    missing,
    open: async (adapter, spec, config) => options.open(adapter, spec, config, clock),
  });
  const engine = createEngine({ openHandlers, clock, sampleReports: false });
  try {
    await engine.use(patient(policy));
    const { driver, end } =
      options.drive === undefined || one.call === 'authzen'
        ? { driver: inProcess(engine, policy.attributes), end: async () => {} }
        : await options.drive(engine, policy);
    try {
      return await callInTurn(one, driver, { clock, reports, missing, flush: async () => engine.flush() });
    } finally {
      await end();
    }
  } catch (error) {
    return [messageOf(error)];
  } finally {
    await engine.drain();
  }
}

/** On a busy machine a handler may take longer than its deadline, which is no difference between the policy and its cases. */
const patient = (policy: Policy): Policy => ({
  ...policy,
  handlers: new Map([...policy.handlers].map(([name, spec]) => [name, { ...spec, deadlineMs: CASE_MS }])),
});

interface Surroundings {
  readonly clock: CaseClock;
  readonly reports: ObservedReport[];
  readonly missing: ReadonlySet<string>;
  readonly flush: () => Promise<void>;
}

async function callInTurn(
  one: Case,
  driver: Driver,
  { clock, reports, missing, flush }: Surroundings,
): Promise<string[]> {
  const wants = inTurn(one);
  const failures: string[] = [];
  for (const [index, want] of wants.entries()) {
    if (index > 0 && one.every !== undefined) clock.advance(durationMs(one.every) ?? 0);
    let observed: Observed | undefined = await driver(one);
    if (observed === undefined) {
      await flush();
      observed = { kind: 'log', reports: reports.splice(0) };
    }
    const which = wants.length === 1 ? '' : `call ${index + 1} of ${wants.length}: `;
    failures.push(...differences(want, observed).map((difference) => `${which}${difference}`));
    if (failures.length > 0) break;
  }
  return [
    ...failures,
    ...[...missing].map(
      (name) =>
        `the handler ${name} was called but needs a backend; write given: { ${name}: ANSWER } or given: { ${name}: fails }`,
    ),
  ];
}

/** The expected result of each call: a list in turn, each for its `times`; or one for all calls. */
function inTurn(one: Case): Want[] {
  const listed = one.wants.flatMap((want) => Array.from({ length: timesOf(want) }, () => want));
  const calls = one.times ?? listed.length;
  const last = one.wants.at(-1);
  if (one.wants.length === 1 && last !== undefined) return Array.from({ length: calls }, () => last);
  if (listed.length !== calls)
    throw new Error(`times is ${calls}, but want lists ${counted(listed.length, 'call')}; make them equal`);
  return listed;
}

const timesOf = (want: Want): number => ('times' in want ? (want.times ?? 1) : 1);

/** The start of a minute, an hour, a day (UTC) and an epoch week. */
const BEGINNING_MS = Date.UTC(2026, 0, 1);

/** A clock that moves only when advanced. */
export interface CaseClock {
  nowMs(): number;
  monotonicMs(): number;
  advance(ms: number): void;
}

function caseClock(): CaseClock {
  let nowMs = BEGINNING_MS;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    advance: (ms) => {
      nowMs += ms;
    },
  };
}
