/**
 * What the quota rules mean for one call, for operators.
 * **In**: a call, and how far to go. **Out**: of every quota rule whether it applies and why, what it would charge, and what its counter
 * is at now. **Fails**: never; what a handler could not say is told of its rule. Nothing is charged, counted in metrics, or kept.
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
import { type QuotaLook, type SeenQuota, seenQuota, unmetered } from './quota-look.ts';
import { wrongAnswers } from './charge-quotas.ts';

/** `explain` asks no handler of a quota; `inspect` asks what its counters are at; `reset` then takes away those of the rules that apply. */
export type LookDepth = 'explain' | 'inspect' | 'reset';

/** People wait longer than proxies. */
export const LOOK_MS = 1000;

export async function lookAtQuotas(
  snapshot: Snapshot,
  depth: LookDepth,
  call: CallKind,
  wires: readonly Wire[],
): Promise<readonly QuotaLook[]> {
  const bags = wires.map((wire) => new RequestBag(snapshot.attributes, wire));
  const scope = scopeOfLook(call);
  const enriching = snapshot.enrich(call).map(unmetered);
  await Promise.all(bags.map(async (bag) => enrichBag(enriching, bag, scope)));
  const seen = bags.flatMap((bag, at) =>
    snapshot.quotas.map((prepared) => seenQuota(snapshot, prepared, bag, call, at)),
  );
  if (depth === 'explain') return seen.map(({ look }) => look);
  const looks = await Promise.all(seen.map((one) => inspected(one, scope)));
  return depth === 'inspect' ? looks : reset(seen, looks, scopeOfLook(call));
}

const scopeOfLook = (call: CallKind): CallScope =>
  new CallScope(nextId(), call, { remainingMs: LOOK_MS, signal: undefined }, true);

async function inspected({ look, ask, handler }: SeenQuota, scope: CallScope): Promise<QuotaLook> {
  if (ask === undefined) return look;
  const asks = [lookOf(ask)];
  const { handler: own } = handler.open;
  const [answers, places] = await Promise.all([
    handler.looks.ask(handler.charge, asks, scope, LOOK_MS, wrongAnswers),
    own.look === undefined
      ? []
      : handler.looks.ask((these) => own.look?.(these) ?? [], asks, scope, LOOK_MS, wrongPlaces),
  ]);
  if (answers instanceof Failure) return { ...look, failure: answers.why };
  if (places instanceof Failure) return { ...look, ...stateOf(look, ask, answers[0]), failure: places.why };
  return { ...look, ...stateOf(look, ask, answers[0]), ...placeOf(look, places[0]) };
}

function stateOf({ algorithm }: QuotaLook, ask: QuotaAsk, answer: QuotaAnswer | undefined): Pick<QuotaLook, 'state'> {
  if (answer === undefined) return {};
  const { remaining, resetMs } = answer;
  const size = algorithm === 'gcra' ? ask.burst : ask.limit;
  return { state: { granted: fits(ask, remaining), used: Math.max(0, size - remaining), remaining, resetMs } };
}

/** The backend's name for a counter holds its key. */
function placeOf({ key }: QuotaLook, place: QuotaPlace | undefined): Pick<QuotaLook, 'place' | 'holders'> {
  if (place === undefined) return {};
  return {
    place: key.some(({ value }) => value === HIDDEN) ? HIDDEN : place.counter,
    ...(place.holders === undefined ? {} : { holders: place.holders }),
  };
}

const wrongPlaces = (places: readonly QuotaPlace[], asks: readonly QuotaAsk[]): string | undefined =>
  Array.isArray(places) && places.length === asks.length && places.every((place) => typeof place?.counter === 'string')
    ? undefined
    : `look() tells of each of its ${asks.length} asks where its counter is`;

/** Each handler once, with all its asks. */
async function reset(
  seen: readonly SeenQuota[],
  looks: readonly QuotaLook[],
  scope: CallScope,
): Promise<readonly QuotaLook[]> {
  const groups = Map.groupBy(
    seen.filter(({ ask }) => ask !== undefined),
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
    const { ask, handler } = seen[at] ?? {};
    if (ask === undefined || handler === undefined) return look;
    const failure = failures.get(handler);
    return failure === undefined ? { ...look, reset: true } : { ...look, reset: false, failure };
  });
}

/** Why not, where it did not. */
async function resetBy(handler: LiveHandler, asks: readonly QuotaAsk[], scope: CallScope): Promise<string | undefined> {
  const { handler: own } = handler.open;
  if (own.reset === undefined) return `[${handler.looks.label}] its adapter cannot reset counters`;
  const answer = await handler.looks.ask(
    (these) => own.reset?.(these),
    asks,
    scope,
    LOOK_MS,
    () => undefined,
  );
  return answer instanceof Failure ? answer.why : undefined;
}
