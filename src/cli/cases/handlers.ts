/**
 * The handlers of a case: nothing leaves the process (docs/rules.md#9-cases).
 * **In**: the handlers of the policy, and the answers in `given` of the case. **Out**: open handlers: self-contained adapters
 * as they are, by the case's clock; of the others quotas in memory, reports recorded, and the given answers.
 * **Fails**: a call to a handler without a given answer is recorded, and fails as if its backend were unavailable.
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
import { isSelfContained } from '../../adapters/description.ts';
import type { HandlerSpec } from '../../core/rules/policy.ts';
import type { ObservedReport } from './observed.ts';
import type { OpenHandler } from '../../adapters/open-handler.ts';
import type { OpenHandlers } from '../../core/handlers/live-handler.ts';

export interface CaseHandlersOptions {
  /** Opens an adapter as it is, with the case's clock. */
  readonly open: (adapter: Adapter, spec: HandlerSpec, config: unknown) => Promise<OpenHandler>;
  /** The adapter for quotas in memory. */
  readonly memory: Adapter;
  readonly given: Readonly<Record<string, unknown>>;
  readonly reports: ObservedReport[];
  /** Names of handlers that were called without a given answer. */
  readonly missing: Set<string>;
}

export function caseHandlers(options: CaseHandlersOptions): OpenHandlers {
  return async (spec) => {
    const adapter = spec.implementation;
    const given = options.given[spec.name];
    if (given === 'fails') return opened(failing(() => 'the case says: fails'));
    if (given !== undefined) return opened({ ...keeping(spec, options.reports), ...answering(given) });
    if (isSelfContained(adapter, spec.config))
      return recorded(await options.open(adapter, spec, spec.config), spec, options.reports);
    const absent = failing(() => {
      options.missing.add(spec.name);
      return `${spec.name} needs a backend, and the case gives no answer for it`;
    });
    const own = { ...absent, ...keeping(spec, options.reports) };
    if (adapter.serves.quota === undefined) return opened(own);
    const counting = await options.open(options.memory, spec, options.memory.config.parse({}));
    return { ...counting, handler: { ...own, ...counting.handler } };
  };
}

/** Passes reports to the handler, and records them for the case. */
function recorded(open: OpenHandler, { name }: HandlerSpec, reports: ObservedReport[]): OpenHandler {
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

/** Replaces a handler that is not opened; every method fails. */
export const unopened = (why: string): OpenHandler => opened(failing(() => why));

const opened = (handler: AnyHandler): OpenHandler => ({
  handler,
  readiness: () => ({ ready: true, why: undefined }),
  close: async () => {},
});

function keeping(spec: HandlerSpec, reports: ObservedReport[]): AnyHandler {
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

/** Checks: `allow`, `deny`, `{ allow: OUTPUT }`, `{ deny: REASON, code?, output? }`; quotas: `grants`, `refuses`; enrich: values. */
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
