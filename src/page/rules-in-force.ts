/**
 * The rules in force: their texts once for each revision, in slices, and their counts as they change.
 * **In**: the revision, by readiness. **Out**: rows with counts; those of the last revision until the next has arrived whole. **Fails**: as
 * other requests of the page, and goes on with the slice that failed.
 */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { RuleCounts, RuleRow, RulesAnswer } from './api.ts';
import { ask, backOffMs, connection, type Loaded, loaded, type Resource, revision, useResource } from './server.ts';

/** Of `/rules?from=`, or of an older server all of `/rules`. */
interface RulesSlice extends RulesAnswer {
  readonly total?: number;
  readonly next?: number | null;
}

interface CountsAnswer {
  readonly revision: string | null;
  /** Of rules that have ever applied: position, applied, denied, failed, shadowDenied, time of the last match. */
  readonly counts: readonly (readonly [number, number, number, number, number, number])[] | null;
}

/** `total`: more than `rules` while slices arrive. */
export interface RulesInForce {
  readonly revision: string | null;
  readonly total: number;
  readonly rules: readonly RuleRow[];
}

/** Of the revision that was loaded last; a view that is shown again has them at once. */
let kept: RulesInForce | undefined;

const COUNTS_EVERY_MS = 5000;
/** A rule that has never applied. */
const NONE: RuleCounts = { applied: 0, denied: 0, failed: 0, shadowDenied: 0, lastAt: null };

export function useRules(): Resource<RulesInForce> {
  const rules = useTexts();
  const { answer: counts } = useResource<CountsAnswer>('/rules/counts', COUNTS_EVERY_MS);
  const counted = counts.state === 'ready' ? counts.data : undefined;
  const texts = rules.answer.state === 'ready' ? rules.answer.data : undefined;
  const data = useMemo(() => texts && withCounts(texts, counted), [texts, counted]);
  return data === undefined || rules.answer.state !== 'ready'
    ? (rules as Resource<RulesInForce>)
    : { ...rules, answer: { ...rules.answer, data } };
}

function withCounts(texts: RulesInForce, counted: CountsAnswer | undefined): RulesInForce {
  const rows = counted?.revision === texts.revision ? counted.counts : null;
  if (rows === null) return texts;
  const byPlace = new Map(rows.map((row) => [row[0], row]));
  return { ...texts, rules: texts.rules.map((rule, at) => ({ ...rule, counts: countsOf(byPlace.get(at)) })) };
}

function countsOf(row: readonly [number, number, number, number, number, number] | undefined): RuleCounts {
  if (row === undefined) return NONE;
  const [, applied, denied, failed, shadowDenied, lastAt] = row;
  return { applied, denied, failed, shadowDenied, lastAt: new Date(lastAt).toISOString() };
}

function useTexts(): Resource<RulesInForce> {
  const [answer, setAnswer] = useState<Loaded<RulesInForce>>(
    kept === undefined ? { state: 'loading' } : { state: 'ready', data: kept, isStale: false },
  );
  const [generation, setGeneration] = useState(0);
  const { state } = connection.value;
  const isAsked = state !== 'gone' && state !== 'connecting';
  const policy = revision.value;
  useEffect(() => {
    if (!isAsked || kept?.revision === policy) return undefined;
    const controller = new AbortController();
    void load(controller.signal, setAnswer);
    return () => controller.abort();
  }, [generation, policy, isAsked]);
  return { answer, reload: () => setGeneration((now) => now + 1) };
}

async function load(signal: AbortSignal, show: (answer: Loaded<RulesInForce>) => void): Promise<void> {
  let rules: RuleRow[] = [];
  let of: string | null = null;
  let failures = 0;
  for (let from: number | null = 0; from !== null;) {
    const path: string = `/rules?from=${from}`;
    const next: Loaded<RulesSlice> | undefined = await loaded(() => ask<RulesSlice>(path, { signal }));
    if (signal.aborted) return;
    if (next === undefined) {
      await pause(backOffMs(failures++));
      if (signal.aborted) return;
      continue;
    }
    if (next.state !== 'ready') return show(next);
    failures = 0;
    const slice: RulesSlice = next.data;
    if (from > 0 && slice.revision !== of) {
      [rules, from] = [[], 0]; // another policy was loaded in between
      continue;
    }
    of = slice.revision;
    rules = [...rules, ...slice.rules];
    from = slice.next ?? null;
    const data = { revision: of, total: slice.total ?? rules.length, rules };
    if (from === null) kept = data;
    if (from === null || kept === undefined) show({ state: 'ready', data, isStale: false });
  }
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
