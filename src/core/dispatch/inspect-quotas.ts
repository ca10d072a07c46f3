/**
 * Inspects the quota rules for one call, for operators.
 * **In**: a call, and a depth. **Out**: for every quota rule whether it applies and why, what it would charge, and the state of its
 * counter. **Fails**: never; the failure of a handler is shown at its rule. Nothing is charged, metered, or kept.
 */
import { RequestBag, type Wire } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { HIDDEN, withoutSecretParameters } from '../../attributes/secrets.ts';
import type { LeasePage, QuotaAnswer, QuotaAsk, QuotaPlace } from '../../adapters/contract.ts';
import { fits, lookOf } from '../../counting/ask.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { nextId } from '../call-id.ts';
import { CallScope } from '../handlers/call-scope.ts';
import { enrichBag } from './enrich.ts';
import { Failure } from '../handlers/failure.ts';
import { answersProblem } from '../handlers/quota-answers.ts';
import type { QuotaEntry } from '../outcome.ts';
import {
  type CounterInspection,
  type InspectedQuota,
  inspectedQuota,
  type QuotaInspection,
  shownKey,
  unmetered,
} from './quota-inspection.ts';

/** `explain` asks no quota handler; `inspect` reads the counters; `reset` also clears the counters of the rules that apply. */
export type InspectionDepth = 'explain' | 'inspect' | 'reset';

/** Timeout of an inspection; operators wait longer than proxies. */
export const INSPECTION_MS = 1000;

export async function inspectQuotas(
  snapshot: Snapshot,
  depth: InspectionDepth,
  call: CallKind,
  wires: readonly Wire[],
  leases?: LeasePage,
): Promise<readonly QuotaInspection[]> {
  const bags = wires.map((wire) => new RequestBag(snapshot.attributes, wire));
  const scope = inspectionScope(call);
  const enriching = snapshot.enrich(call).map(unmetered);
  await Promise.all(bags.map(async (bag) => enrichBag(enriching, bag, scope)));
  const quotas = bags.flatMap((bag, at) =>
    snapshot.quotas.map((prepared) => inspectedQuota(snapshot, prepared, bag, call, at)),
  );
  if (depth === 'explain') return quotas.map(({ look }) => look);
  const looks = await Promise.all(quotas.map((one) => inspected(one, scope, leases)));
  return depth === 'inspect' ? looks : reset(quotas, looks, inspectionScope(call));
}

const inspectionScope = (call: CallKind): CallScope =>
  new CallScope(nextId(), call, { remainingMs: INSPECTION_MS, signal: undefined }, true);

async function inspected(
  { look, ask, handler }: InspectedQuota,
  scope: CallScope,
  leases: LeasePage | undefined,
): Promise<QuotaInspection> {
  return ask === undefined ? look : { ...look, ...(await inspectCounter(handler, ask, look, scope, leases)) };
}

/** The counter of a charge of a decided call; `undefined` if its handler is closed. */
export async function inspectCharge(
  { outcome, ask, handler }: QuotaEntry,
  leases: LeasePage,
): Promise<CounterInspection | undefined> {
  if (handler.isClosing) return undefined;
  const { action } = outcome.prepared;
  const shown = { algorithm: action.algorithm, key: shownKey(action.key, outcome.bag as RequestBag) };
  return inspectCounter(handler, ask, shown, inspectionScope('http'), leases);
}

async function inspectCounter(
  handler: LiveHandler,
  ask: QuotaAsk,
  shown: Pick<QuotaInspection, 'algorithm' | 'key'>,
  scope: CallScope,
  leases: LeasePage | undefined,
): Promise<CounterInspection> {
  const asks = [lookOf(ask)];
  const { handler: own } = handler.open;
  const { inspectionGate } = handler;
  const [answers, places] = await Promise.all([
    inspectionGate.ask(handler.charge, asks, scope, INSPECTION_MS, answersProblem),
    own.look === undefined
      ? []
      : inspectionGate.ask((these) => own.look?.(these, leases) ?? [], asks, scope, INSPECTION_MS, placesProblem),
  ]);
  if (answers instanceof Failure) return { failure: answers.why };
  const state = stateOf(shown, ask, answers[0]);
  return places instanceof Failure
    ? { ...state, failure: places.why }
    : { ...state, ...placeOf(shown, places[0], leases) };
}

function stateOf(
  { algorithm }: Pick<QuotaInspection, 'algorithm'>,
  ask: QuotaAsk,
  answer: QuotaAnswer | undefined,
): Pick<CounterInspection, 'state'> {
  if (answer === undefined) return {};
  const { remaining, resetMs } = answer;
  const size = algorithm === 'gcra' ? ask.burst : ask.limit;
  return { state: { granted: fits(ask, remaining), used: Math.max(0, size - remaining), remaining, resetMs } };
}

/**
 * The backend's name of a counter contains its key, which may be secret. The id of a lease holds no secret that a policy names, since rules
 * charge by its digest; it may be a URL.
 */
function placeOf(
  { key }: Pick<QuotaInspection, 'key'>,
  place: QuotaPlace | undefined,
  page: LeasePage | undefined,
): CounterInspection {
  if (place === undefined) return {};
  const { counter, holders, leases = [], leaseCount } = place;
  return {
    ...(counter === undefined ? {} : { place: key.some(({ value }) => value === HIDDEN) ? HIDDEN : counter }),
    ...(holders === undefined ? {} : { holders }),
    ...(leaseCount === undefined || page === undefined
      ? {}
      : {
          leaseCount,
          leases: leases
            .slice(0, page.count)
            .map(({ id, ...lease }) => (id === undefined ? lease : { id: withoutSecretParameters(id), ...lease })),
        }),
  };
}

const placesProblem = (places: readonly QuotaPlace[], asks: readonly QuotaAsk[]): string | undefined =>
  Array.isArray(places) && places.length === asks.length && places.every(isPlace)
    ? undefined
    : `look() must return the location of the counter for each of its ${asks.length} asks`;

const isPlace = ({ counter, leases = [], leaseCount = 0 }: QuotaPlace): boolean =>
  (counter === undefined || typeof counter === 'string') &&
  Number.isFinite(leaseCount) &&
  leases.every(
    ({ id, units, heldMs, endsInMs }) =>
      (id === undefined || typeof id === 'string') && [units, heldMs, endsInMs].every(Number.isFinite),
  );

/** One reset per handler, with all its asks. */
async function reset(
  quotas: readonly InspectedQuota[],
  looks: readonly QuotaInspection[],
  scope: CallScope,
): Promise<readonly QuotaInspection[]> {
  const groups = Map.groupBy(
    quotas.filter(({ ask }) => ask !== undefined),
    ({ handler }) => handler,
  );
  const failures = new Map(
    await Promise.all(
      [...groups].map(
        async ([handler, group]) =>
          [
            handler,
            await resetBy(
              handler,
              group.flatMap(({ ask }) => (ask === undefined ? [] : [lookOf(ask)])),
              scope,
            ),
          ] as const,
      ),
    ),
  );
  return looks.map((look, at) => {
    const { ask, handler } = quotas[at] ?? {};
    if (ask === undefined || handler === undefined) return look;
    const failure = failures.get(handler);
    return failure === undefined ? { ...look, reset: true } : { ...look, reset: false, failure };
  });
}

/** The reason if the reset failed. */
async function resetBy(handler: LiveHandler, asks: readonly QuotaAsk[], scope: CallScope): Promise<string | undefined> {
  const { handler: own } = handler.open;
  if (own.reset === undefined) return `[${handler.inspectionGate.label}] its adapter cannot reset counters`;
  const answer = await handler.inspectionGate.ask(
    (these) => own.reset?.(these),
    asks,
    scope,
    INSPECTION_MS,
    () => undefined,
  );
  return answer instanceof Failure ? answer.why : undefined;
}
