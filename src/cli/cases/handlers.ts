/**
 * The handlers of a case: nothing leaves the process (docs/rules.md, section 9).
 * **In**: handlers as the policy names them, and what the case gives. **Out**: open handlers: quotas on memory by the
 * case's clock, reports kept, adapters that need nothing outside as they are, the others as given.
 * **Fails**: a handler that is asked and was not given is noted, and its call fails as if its backend were away.
 */
import { changeOf } from '../../counting/ask.ts';
import {
  type Adapter,
  type AnyHandler,
  type CheckAnswer,
  PERMISSION_DENIED,
  type ReportEntry,
  Unavailable,
  allow,
  deny,
} from '../../adapters/contract.ts';
import type { HandlerSpec } from '../../core/rules/policy.ts';
import type { SeenReport } from './observed.ts';
import type { OpenHandler } from '../../adapters/open-handler.ts';
import type { OpenHandlers } from '../../core/handlers/live-handler.ts';

export interface CaseHandlersOptions {
  readonly adapters: { get(name: string): Adapter | undefined };
  /** Opens an adapter for real, by the case's clock. */
  readonly open: (adapter: Adapter, spec: HandlerSpec, config: unknown) => Promise<OpenHandler>;
  /** The adapter that keeps quotas in memory. */
  readonly memory: Adapter;
  readonly given: Readonly<Record<string, unknown>>;
  readonly reports: SeenReport[];
  /** Names of handlers that were asked and not given. */
  readonly missing: Set<string>;
}

export function caseHandlers(options: CaseHandlersOptions): OpenHandlers {
  return async (spec) => {
    const adapter = options.adapters.get(spec.adapter);
    if (adapter === undefined) throw new Error(`no adapter is named ${spec.adapter}`);
    const given = options.given[spec.name];
    if (given === 'fails') return opened(failing(() => 'the case says: fails'));
    if (given !== undefined) return opened({ ...keeping(spec, options.reports), ...answering(given) });
    if (adapter.serves.quota !== undefined) return options.open(options.memory, spec, options.memory.config.parse({}));
    if (adapter.selfContained) return seen(await options.open(adapter, spec, spec.config), spec, options.reports);
    const absent = failing(() => {
      options.missing.add(spec.name);
      return `${spec.name} needs something outside the process, and the case does not say what it answers`;
    });
    return opened({ ...absent, ...keeping(spec, options.reports) });
  };
}

/** A handler that runs as it is takes its reports, and the case sees them too. */
function seen(open: OpenHandler, { name }: HandlerSpec, reports: SeenReport[]): OpenHandler {
  const { handler } = open;
  if (handler.sink === undefined || handler.write === undefined) return open;
  return {
    ...open,
    handler: {
      ...handler,
      sink: (rule) => ({ rule: rule.rule, own: handler.sink?.(rule) }),
      write(entries: readonly ReportEntry[], call) {
        const taken = entries.map((entry) => ({
          ...entry,
          sink: entry.sink as { readonly rule: string; readonly own: unknown },
        }));
        for (const {
          sink: { rule },
          input,
        } of taken)
          reports.push({ rule, handler: name, input: { ...input } });
        return handler.write?.(
          taken.map((entry) => ({ ...entry, sink: entry.sink.own })),
          call,
        );
      },
    },
  };
}

/** Stands for a handler that is not opened: it has every method, and each fails. */
export const unopened = (why: string): OpenHandler => opened(failing(() => why));

const opened = (handler: AnyHandler): OpenHandler => ({
  handler,
  readiness: () => ({ ready: true, why: undefined }),
  close: async () => {},
});

function keeping(spec: HandlerSpec, reports: SeenReport[]): AnyHandler {
  return {
    sink: ({ rule }) => rule,
    write: (entries: readonly ReportEntry[]) => {
      for (const { sink, input } of entries)
        reports.push({ rule: String(sink), handler: spec.name, input: { ...input } });
    },
  };
}

function failing(why: () => string): AnyHandler {
  const fail = (): never => {
    throw new Unavailable(why());
  };
  return {
    check: () => fail,
    bucket: () => undefined,
    charge: fail,
    sink: () => undefined,
    write: fail,
    lookup: () => fail,
  };
}

/** `allow`, `deny`, `{ allow: OUTPUT }`, `{ deny: REASON, code?, output? }` for checks; `grants`, `refuses` for quotas; else the values of an enrich handler. */
function answering(given: unknown): AnyHandler {
  const answer = checkAnswer(given);
  const values = typeof given === 'object' && given !== null ? (given as Readonly<Record<string, unknown>>) : undefined;
  return {
    check: () => () => answer,
    bucket: () => undefined,
    charge: (asks) =>
      asks.map((ask) => ({
        granted: given !== 'refuses',
        limit: ask.limit,
        remaining: given === 'refuses' ? 0 : Math.max(0, ask.limit - changeOf(ask)),
        resetMs: 1000,
      })),
    lookup: () => () => values,
  };
}

function checkAnswer(given: unknown): CheckAnswer {
  if (given === 'deny') return deny(PERMISSION_DENIED, 'the case says: deny');
  if (typeof given !== 'object' || given === null) return allow();
  if ('deny' in given) {
    const { deny: reason, code, output } = given as { deny: unknown; code?: number; output?: Record<string, unknown> };
    return deny(code ?? PERMISSION_DENIED, String(reason), output === undefined ? {} : { output });
  }
  const output = 'allow' in given ? (given as { allow: unknown }).allow : undefined;
  return typeof output === 'object' && output !== null ? allow({ output: output as Record<string, unknown> }) : allow();
}
