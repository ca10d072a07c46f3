/** An engine in force on a policy whose handlers do what a test says: adapters through the public contract, nothing else replaced. */
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import {
  type Adapter,
  allow,
  type Call,
  type CheckAnswer,
  defineAdapter,
  type LookupAnswer,
  type QuotaAnswer,
  type QuotaAsk,
  type QuotaPlace,
  type ReportEntry,
} from '../../../src/adapters/contract.ts';
import { EscapedErrors } from '../../../src/adapters/escaped-errors.ts';
import { openHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { type LogLine } from '../../../src/adapters/testing/index.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import type { Wire } from '../../../src/attributes/bag.ts';
import type { CallKind } from '../../../src/attributes/carrier.ts';
import type { Caller, LimitVerdict, Verdict } from '../../../src/core/call.ts';
import type { InspectionDepth } from '../../../src/core/dispatch/inspect-quotas.ts';
import type { QuotaInspection } from '../../../src/core/dispatch/quota-inspection.ts';
import { createEngine } from '../../../src/core/engine.ts';
import { findingText } from '../../../src/yaml/findings.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';
import type { Policy } from '../../../src/core/rules/policy.ts';
import type { EngineOptions, RunningEngine } from '../../../src/core/running-engine.ts';

/** What a handler does; by its name in the policy. */
export interface Script {
  open?(): void | Promise<void>;
  check?(input: Readonly<Record<string, unknown>>, call: Call): CheckAnswer | Promise<CheckAnswer>;
  charge?(
    asks: readonly QuotaAsk<{ counter: string }>[],
    call: Call,
  ): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]>;
  reset?(asks: readonly QuotaAsk<{ counter: string }>[]): void | Promise<void>;
  look?(asks: readonly QuotaAsk<{ counter: string }>[]): readonly QuotaPlace[] | Promise<readonly QuotaPlace[]>;
  write?(entries: readonly ReportEntry[], call: Call): void | Promise<void>;
  lookup?(input: Readonly<Record<string, unknown>>, call: Call): LookupAnswer | Promise<LookupAnswer>;
  forget?(made: unknown): void;
  close?(): void | Promise<void>;
}
export type Scripts = Readonly<Record<string, Script>>;

const config = z.strictObject({
  version: z.int().default(1).describe('Another one opens the handler anew.'),
  script: z.string().describe('Which script it follows.'),
});

function adapters(scripts: Scripts): Adapter[] {
  const scriptOf = (name: string): Script => scripts[name] ?? {};
  const opened = async (name: string): Promise<Script> => {
    await scriptOf(name).open?.();
    return scriptOf(name);
  };
  const ending = (script: Script): { close?: () => void | Promise<void>; forget?: (made: unknown) => void } => ({
    ...(script.close === undefined ? {} : { close: () => script.close?.() }),
    ...(script.forget === undefined ? {} : { forget: (made: unknown) => script.forget?.(made) }),
  });
  return [
    defineAdapter({
      name: 'check-script',
      summary: 'Answers as a test says.',
      config,
      serves: { check: { input: { value: 'string?' }, output: { text: 'string?' } } },
      open: async ({ script: name }, host) => {
        host.metrics.counter('script_opened', 'Opened handlers.').add();
        const script = await opened(name);
        return { check: () => (input, call) => script.check?.(input, call) ?? allow(), ...ending(script) };
      },
    }),
    defineAdapter({
      name: 'quota-script',
      summary: 'Charges as a test says.',
      config,
      serves: { quota: { algorithms: ['fixed', 'gcra'] } },
      open: async ({ script: name }) => {
        const script = await opened(name);
        return {
          bucket: ({ counter }) => ({ counter }),
          charge: (asks, call) =>
            script.charge === undefined
              ? asks.map(({ limit }) => ({ granted: true, limit, remaining: limit, resetMs: 1000 }))
              : script.charge(asks as never, call),
          ...(script.reset === undefined
            ? {}
            : { reset: (asks: readonly QuotaAsk[]) => script.reset?.(asks as never) }),
          ...(script.look === undefined
            ? {}
            : { look: (asks: readonly QuotaAsk[]) => script.look?.(asks as never) ?? [] }),
          ...ending(script),
        };
      },
    }),
    defineAdapter({
      name: 'log-script',
      summary: 'Writes as a test says.',
      config,
      serves: { report: { input: 'any' } },
      open: async ({ script: name }) => {
        const script = await opened(name);
        return {
          sink: ({ rule }) => rule,
          write: async (entries, call) => {
            await script.write?.(entries, call);
          },
          ...ending(script),
        };
      },
    }),
    defineAdapter({
      name: 'enrich-script',
      summary: 'Looks up as a test says.',
      config,
      serves: { enrich: { input: { key: 'string' }, output: { plan: 'string?', limit: 'int?' } } },
      open: async ({ script: name }) => {
        const script = await opened(name);
        return { lookup: () => (input, call) => script.lookup?.(input, call) as never, ...ending(script) };
      },
    }),
  ];
}

export interface TestEngine {
  readonly engine: RunningEngine;
  /** Takes uncaught errors. */
  readonly escaped: EscapedErrors;
  readonly logged: LogLine[];
  readonly load: (text: string) => Promise<Policy>;
  /** The counters and pages of the handlers. */
  readonly metrics: () => Promise<string>;
  readonly http: (attributes?: Readonly<Record<string, unknown>>, caller?: Caller) => Verdict | Promise<Verdict>;
  readonly limit: (descriptors: readonly Readonly<Record<string, string>>[]) => LimitVerdict | Promise<LimitVerdict>;
  readonly log: (attributes?: Readonly<Record<string, unknown>>) => undefined | Promise<void>;
  readonly quotas: (
    depth: InspectionDepth,
    call: CallKind,
    ...requests: readonly Readonly<Record<string, unknown>>[]
  ) => Promise<readonly QuotaInspection[]>;
}

export const PATIENT: Caller = { remainingMs: undefined, signal: undefined };

/** Handlers are written `h: { adapter: check-script, config: { script: h } }`; the engine ends with the test. */
export async function engineOf(
  text: string,
  scripts: Scripts,
  options: Partial<EngineOptions> = {},
  more: readonly Adapter[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<TestEngine> {
  const logged: LogLine[] = [];
  const keep =
    (level: LogLine['level']) =>
    (message: string, fields = {}): void => {
      logged.push({ level, message, fields });
    };
  const log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
  const registry = createRegistry([...adapters(scripts), ...more]);
  const metrics = createPluginMetrics(log);
  const escaped = new EscapedErrors(log);
  const around = { log, metrics, escaped, shared: createSharedMemory() };
  const engine = createEngine({
    openHandlers: (spec) => openHandler(spec.implementation, spec, around),
    log,
    graceMs: 200,
    worker: { number: 1, count: 1 },
    ...options,
  });
  let policy: Policy | undefined;
  const load = async (source: string): Promise<Policy> => {
    const loaded = await loadPolicyText(new Map([['p.yaml', source]]), { adapters: registry, env });
    if (loaded.policy === undefined) throw new Error(loaded.findings.map(findingText).join('\n'));
    return (policy = loaded.policy);
  };
  const wire = (given: Readonly<Record<string, unknown>>, call: CallKind): Wire => {
    if (policy === undefined) throw new Error('no policy');
    return plainWire(policy.attributes, given, {}, call);
  };
  await engine.use(await load(text));
  onTestFinished(() => engine.drain());
  return {
    engine,
    escaped,
    logged,
    load,
    metrics: () => metrics.render(),
    http: (given = {}, caller = PATIENT) =>
      engine.check('http', wire({ 'request.method': 'GET', 'request.path': '/', ...given }, 'http'), caller),
    limit: (descriptors) =>
      engine.limit(
        descriptors.map((descriptor) => wire({ 'ratelimit.domain': 'd', 'ratelimit.descriptor': descriptor }, 'limit')),
        PATIENT,
      ),
    quotas: async (depth, call, ...requests) =>
      (await engine.quotas(
        depth,
        call,
        requests.map((given) => wire(given, call)),
      )) ?? [],
    log: (given = {}) => engine.report('log', wire({ 'request.path': '/', 'response.code': 200, ...given }, 'log')),
  };
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
