/**
 * The handlers of a replay, without side effects.
 * **In**: the handlers of a policy, the recorded answers. **Out**: open handlers: adapters that need no backend as they are, the
 * recorded answers of the others, and quotas that are counted in memory. **Fails**: a call without a recorded answer is counted, and
 * fails as if its backend were unavailable.
 */
import {
  type Adapter,
  type AnyHandler,
  type Call,
  type Host,
  type QuotaAnswer,
  type QuotaAsk,
  Unavailable,
} from '../../adapters/contract.ts';
import { isSelfContained } from '../../adapters/description.ts';
import type { OpenHandler } from '../../adapters/open-handler.ts';
import { HIDDEN } from '../../attributes/secrets.ts';
import { MASKED } from '../../attributes/redacted-request.ts';
import type { OpenHandlers } from '../../core/handlers/live-handler.ts';
import type { HandlerSpec } from '../../core/rules/policy.ts';
import type { RecordedAnswers } from './recorded-answers.ts';

export interface ReplayHandlers {
  /** Opens an adapter as it is, with this clock. */
  readonly open: (adapter: Adapter, spec: HandlerSpec, config: unknown, clock: Host['clock']) => Promise<OpenHandler>;
  /** The adapter that counts all quotas. */
  readonly memory: Adapter;
  /** Asks the real handlers where the record has no answer; charges and writes nothing. */
  readonly ask?: OpenHandlers | undefined;
  /** False: every quota grants. */
  readonly countsQuotas: boolean;
}

export interface Surroundings {
  /** Moves with the recorded calls. */
  readonly clock: Host['clock'];
  readonly answers: RecordedAnswers;
  /** Called for each ask that nothing answers. */
  readonly unanswered: (rule: string, handler: string) => void;
}

export function replayHandlers(handlers: ReplayHandlers, surroundings: Surroundings): OpenHandlers {
  const { clock } = surroundings;
  return async (spec) => {
    const { implementation: adapter, config } = spec;
    const needsNoBackend = isSelfContained(adapter, config);
    const { check, enrich, quota } = adapter.serves;
    const isReal = needsNoBackend && (check !== undefined || enrich !== undefined);
    const real = isReal ? await handlers.open(adapter, spec, config, clock) : await handlers.ask?.(spec);
    const counting =
      quota !== undefined && handlers.countsQuotas
        ? await handlers.open(handlers.memory, spec, handlers.memory.config.parse({}), clock)
        : undefined;
    return {
      handler: {
        ...answering(spec, real?.handler, needsNoBackend, surroundings),
        ...(quota === undefined ? {} : countingQuotas(counting?.handler)),
      },
      readiness: () => ({ ready: true, why: undefined }),
      close: async () => {
        await Promise.all([real?.close(), counting?.close()]);
      },
    };
  };
}

/** An adapter that needs no backend is asked first, since its config may be what changes; the others only where the record is silent. */
function answering(
  spec: HandlerSpec,
  real: AnyHandler | undefined,
  needsNoBackend: boolean,
  { answers, unanswered }: Surroundings,
): AnyHandler {
  const { check: served } = spec.implementation.serves;
  const none = (rule: string): never => {
    unanswered(rule, spec.name);
    throw new Unavailable('the record has no answer of it');
  };
  return {
    check: (rule) => {
      const ask = real?.check?.(rule);
      return (input, call) => {
        if (ask !== undefined && needsNoBackend && !isHidden(input)) return ask(input, call);
        const recorded = answers.check(rule.rule, spec.name, served?.output);
        return recorded ?? (ask === undefined || isHidden(input) ? none(rule.rule) : ask(input, call));
      };
    },
    lookup: (rule) => {
      const ask = real?.lookup?.(rule);
      return (input, call) => {
        if (ask !== undefined && needsNoBackend && !isHidden(input)) return ask(input, call);
        const recorded = answers.lookup(rule.rule);
        if (recorded !== undefined) return recorded.values;
        return ask === undefined || isHidden(input) ? none(rule.rule) : ask(input, call);
      };
    },
  };
}

/** Whether an input has a text that the record hides, so that no handler can answer it. */
function isHidden(input: unknown): boolean {
  if (typeof input === 'string') return input.includes(HIDDEN) || input.includes(MASKED);
  return typeof input === 'object' && input !== null && Object.values(input).some(isHidden);
}

/** The bucket of a lease: records have no end of a request, so leases would never be released. */
const LEASE = Symbol('lease');

/** `undefined`: all are granted. */
function countingQuotas(counting: AnyHandler | undefined): AnyHandler {
  return {
    bucket: (rule) => (rule.algorithm === 'concurrency' ? LEASE : counting?.bucket?.(rule)),
    charge: (asks, call) => {
      if (counting?.charge === undefined) return asks.map(granted);
      if (asks.every(({ bucket }) => bucket !== LEASE)) return counting.charge(asks, call);
      return withoutLeases(counting.charge.bind(counting), asks, call);
    },
  };
}

function withoutLeases(
  charge: NonNullable<AnyHandler['charge']>,
  asks: readonly QuotaAsk[],
  call: Call,
): readonly QuotaAnswer[] | Promise<readonly QuotaAnswer[]> {
  const others = asks.filter(({ bucket }) => bucket !== LEASE);
  const merged = (answers: readonly QuotaAnswer[]): readonly QuotaAnswer[] => {
    let at = 0;
    return asks.map((ask) => (ask.bucket === LEASE ? granted(ask) : (answers[at++] ?? granted(ask))));
  };
  if (others.length === 0) return merged([]);
  const answers = charge(others, call);
  return answers instanceof Promise ? answers.then(merged) : merged(answers);
}

const granted = ({ limit }: QuotaAsk): QuotaAnswer => ({ granted: true, limit, remaining: limit, resetMs: 0 });
