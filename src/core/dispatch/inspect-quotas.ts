/**
 * Inspects the quota rules for one call, for operators.
 * **In**: a call, and a depth. **Out**: for every quota rule whether it applies and why, what it would charge, and the state of its
 * counter. **Fails**: never; the failure of a handler is shown at its rule. Nothing is charged, metered, or kept.
 */
import { RequestBag, type Wire } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { HIDDEN } from '../../attributes/secrets.ts';
import type { QuotaAnswer, QuotaAsk, QuotaPlace } from '../../adapters/contract.ts';
import { fits, lookOf } from '../../counting/ask.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { nextId } from '../call-id.ts';
import { CallScope } from '../handlers/call-scope.ts';
import { enrichBag } from './enrich.ts';
import { Failure } from '../handlers/failure.ts';
import { type QuotaInspection, type InspectedQuota, inspectedQuota, unmetered } from './quota-inspection.ts';
import { answersProblem } from './charge-quotas.ts';

/** `explain` asks no quota handler; `inspect` reads the counters; `reset` also clears the counters of the rules that apply. */
export type InspectionDepth = 'explain' | 'inspect' | 'reset';

/** Timeout of an inspection; operators wait longer than proxies. */
export const INSPECTION_MS = 1000;

export async function inspectQuotas(
  snapshot: Snapshot,
  depth: InspectionDepth,
  call: CallKind,
  wires: readonly Wire[],
): Promise<readonly QuotaInspection[]> {
  const bags = wires.map((wire) => new RequestBag(snapshot.attributes, wire));
  const scope = inspectionScope(call);
  const enriching = snapshot.enrich(call).map(unmetered);
  await Promise.all(bags.map(async (bag) => enrichBag(enriching, bag, scope)));
  const quotas = bags.flatMap((bag, at) =>
    snapshot.quotas.map((prepared) => inspectedQuota(snapshot, prepared, bag, call, at)),
  );
  if (depth === 'explain') return quotas.map(({ look }) => look);
  const looks = await Promise.all(quotas.map((one) => inspected(one, scope)));
  return depth === 'inspect' ? looks : reset(quotas, looks, inspectionScope(call));
}

const inspectionScope = (call: CallKind): CallScope =>
  new CallScope(nextId(), call, { remainingMs: INSPECTION_MS, signal: undefined }, true);

async function inspected({ look, ask, handler }: InspectedQuota, scope: CallScope): Promise<QuotaInspection> {
  if (ask === undefined) return look;
  const asks = [lookOf(ask)];
  const { handler: own } = handler.open;
  const [answers, places] = await Promise.all([
    handler.inspectionGate.ask(handler.charge, asks, scope, INSPECTION_MS, answersProblem),
    own.look === undefined
      ? []
      : handler.inspectionGate.ask((these) => own.look?.(these) ?? [], asks, scope, INSPECTION_MS, placesProblem),
  ]);
  if (answers instanceof Failure) return { ...look, failure: answers.why };
  if (places instanceof Failure) return { ...look, ...stateOf(look, ask, answers[0]), failure: places.why };
  return { ...look, ...stateOf(look, ask, answers[0]), ...placeOf(look, places[0]) };
}

function stateOf(
  { algorithm }: QuotaInspection,
  ask: QuotaAsk,
  answer: QuotaAnswer | undefined,
): Pick<QuotaInspection, 'state'> {
  if (answer === undefined) return {};
  const { remaining, resetMs } = answer;
  const size = algorithm === 'gcra' ? ask.burst : ask.limit;
  return { state: { granted: fits(ask, remaining), used: Math.max(0, size - remaining), remaining, resetMs } };
}

/** The backend's name of a counter contains its key, which may be secret. */
function placeOf({ key }: QuotaInspection, place: QuotaPlace | undefined): Pick<QuotaInspection, 'place' | 'holders'> {
  if (place === undefined) return {};
  return {
    place: key.some(({ value }) => value === HIDDEN) ? HIDDEN : place.counter,
    ...(place.holders === undefined ? {} : { holders: place.holders }),
  };
}

const placesProblem = (places: readonly QuotaPlace[], asks: readonly QuotaAsk[]): string | undefined =>
  Array.isArray(places) && places.length === asks.length && places.every((place) => typeof place?.counter === 'string')
    ? undefined
    : `look() must return the location of the counter for each of its ${asks.length} asks`;

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
