/**
 * Handlers of a candidate, without side effects.
 * **In**: the policy in force, and how to open handlers. **Out**: handlers for the candidate's engine. One that is equal in adapter and
 * config is the handler in force, with its connections and counters; checks and lookups are asked for real, quotas are answered from
 * the call that is compared, or looked at. **Fails**: as opening a handler does.
 */
import type { AnyHandler, QuotaAnswer, QuotaAsk, QuotaRule } from '../adapters/contract.ts';
import type { OpenHandler } from '../adapters/open-handler.ts';
import { changeOf, lookOf } from '../counting/ask.ts';
import type { LiveHandler, OpenHandlers } from '../core/handlers/live-handler.ts';
import type { DecidedCall } from '../core/history/observers.ts';
import type { HandlerSpec, Policy } from '../core/rules/policy.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import { asIfCharged, bound } from '../explain/looking-only.ts';
import { answerInForce } from './quota-answers.ts';
import type { ComparableCounters } from './comparable-counters.ts';

export interface SafeHandlersOptions {
  readonly inForce: Snapshot;
  /** Opens those that the policy in force does not have. */
  readonly openHandlers: OpenHandlers;
  readonly counters: ComparableCounters;
  /** The call in force that is being compared, by its id. */
  readonly callOf: (id: string) => DecidedCall | undefined;
}

export function safeHandlers({ inForce, openHandlers, counters, callOf }: SafeHandlersOptions): OpenHandlers {
  return async (spec) => {
    const live = inForce.handlers.get(spec.name);
    if (live?.serves(spec) === true) {
      const handler = withoutCharges(live, counters, callOf);
      live.retain(); // a policy without it may come into force meanwhile
      const release = live.secrets.include(spec.secrets); // its rules may have params with secrets of their own
      const close = async (): Promise<void> => {
        release();
        await live.release();
      };
      return { ...placeOf(live.open), handler, close };
    }
    if (servesOnlyQuota(spec))
      return {
        handler: { bucket: () => undefined, charge: granted },
        readiness: () => ({ ready: true, why: undefined }),
        close: async () => undefined,
      };
    const open = await openHandlers(spec);
    const handler = withoutReports(open.handler);
    return {
      ...placeOf(open),
      handler: handler.charge === undefined ? handler : { ...handler, charge: granted },
      close: () => open.close(),
    };
  };
}

/** The candidate without report rules, and without handlers that only they use: none of these is opened. */
export function withoutReportRules(policy: Policy): Policy {
  const rules = policy.rules.filter(({ action }) => action?.kind !== 'report');
  const used = new Set(rules.flatMap(({ action }) => action?.handler ?? []));
  for (const { name, local } of policy.handlers.values())
    if (local !== undefined && used.has(name)) used.add(local.handler);
  return { ...policy, rules, handlers: new Map([...policy.handlers].filter(([name]) => used.has(name))) };
}

const servesOnlyQuota = ({ implementation: { serves } }: HandlerSpec): boolean =>
  Object.entries(serves).every(([capability, served]) => capability === 'quota' || served === undefined);

/** All that an open handler says of itself. */
const placeOf = (open: OpenHandler): Omit<OpenHandler, 'handler' | 'close'> => ({
  readiness: () => open.readiness(),
  ...(open.rejected === undefined ? {} : { rejected: async () => (await open.rejected?.()) ?? new Map() }),
  ...(open.running === undefined ? {} : { running: () => open.running?.() ?? NOWHERE }),
});
const NOWHERE = { where: 'inline', restarts: 0, lastEnd: undefined };

function withoutReports(handler: AnyHandler): AnyHandler {
  const without = { ...bound(handler) };
  delete without.sink;
  delete without.write;
  return without;
}

/** A counter that nobody charges has all its units. */
const granted = (asks: readonly QuotaAsk[]): readonly QuotaAnswer[] =>
  asks.map((ask) => ({
    granted: true,
    limit: ask.limit,
    remaining: Math.max(0, ask.limit - Math.max(0, changeOf(ask))),
    resetMs: 0,
  }));

function withoutCharges(
  live: LiveHandler,
  counters: ComparableCounters,
  callOf: SafeHandlersOptions['callOf'],
): AnyHandler {
  const handler = withoutReports(live.open.handler);
  const bucket = handler.bucket?.bind(handler);
  const charge = handler.charge?.bind(handler);
  if (bucket === undefined || charge === undefined) return handler;
  const ruleOf = new Map<unknown, QuotaRule>();
  return {
    ...handler,
    bucket(rule) {
      const made = bucket(rule);
      ruleOf.set(made, rule);
      return made;
    },
    charge(asks, call) {
      const decided = callOf(call.id);
      const answers = asks.map((ask) => {
        const rule = ruleOf.get(ask.bucket);
        if (rule === undefined || !counters.has(live.spec.name, rule)) return granted([ask])[0];
        return decided === undefined ? undefined : answerInForce(ask, rule, live, decided);
      });
      const unknown = asks.filter((_, at) => answers[at] === undefined);
      const take = (looked: readonly QuotaAnswer[]): readonly QuotaAnswer[] => {
        const later = asIfCharged(unknown, looked)[Symbol.iterator]();
        return answers.flatMap((answer) => answer ?? later.next().value ?? []);
      };
      if (unknown.length === 0) return take([]);
      const looked = charge(unknown.map(lookOf), call);
      return looked instanceof Promise ? looked.then(take) : take(looked);
    },
  };
}
