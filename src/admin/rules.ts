/**
 * `/rules`: the rules in force, and how often each applied.
 * **In**: the policy, its counts, the place of a slice. **Out**: the whole in pieces, a slice without counts, or the counts alone, each
 * with a tag, so that a client that has it already gets 304. **Fails**: with 400 for a place that is no number.
 *
 * Thousands of rules are megabytes of text: neither one turn of the event loop nor a client that shows counts should have them all.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { countedRules, countsAt, type RuleCounts, tallies } from '../core/metrics/rule-counts.ts';
import type { Policy } from '../core/rules/policy.ts';
import { ruleRow } from './rule-rows.ts';
import type { AdminSources } from './sources.ts';
import { isKept, tagged } from './tags.ts';

/** Characters of one piece or slice; a longer rule is one of its own. */
const PIECE_SIZE = 128 * 1024;

type Query = { readonly Querystring: { readonly from?: unknown } };

export function addRules(app: FastifyInstance, sources: AdminSources): void {
  app.get<Query>('/rules', async ({ query: { from }, headers }, reply) => {
    const policy = sources.policy();
    if (from !== undefined) {
      if (typeof from !== 'string' || !/^\d{1,9}$/.test(from))
        return reply
          .code(400)
          .send({ error: 'from is the position of a rule; expected a whole number, such as ?from=0' });
      const tag = `"${policy?.revision ?? ''}:${from}"`;
      return isKept(tag, headers)
        ? tagged(reply, tag).code(304).send()
        : tagged(reply, tag).send(slice(policy, Number(from)));
    }
    const counts = countsOf(policy, await sources.ruleCounts());
    const tag = tagOf(policy, counts);
    if (isKept(tag, headers)) return tagged(reply, tag).code(304).send();
    const body = Readable.from(whole(policy, counts), { objectMode: false });
    return tagged(reply, tag).type('application/json; charset=utf-8').send(body);
  });
  app.get('/rules/counts', async ({ headers }, reply) => {
    const policy = sources.policy();
    const counts = countsOf(policy, await sources.ruleCounts());
    const tag = tagOf(policy, counts);
    if (isKept(tag, headers)) return tagged(reply, tag).code(304).send();
    return tagged(reply, tag).send({ revision: policy?.revision ?? null, counts: countRows(counts) });
  });
}

/** `undefined` if no worker has answered with those of this policy. */
const countsOf = (policy: Policy | undefined, counts: RuleCounts | undefined): RuleCounts | undefined =>
  counts?.revision === policy?.revision ? counts : undefined;

/** The same as long as no rule has applied since. */
function tagOf(policy: Policy | undefined, counts: RuleCounts | undefined): string {
  const hash = createHash('sha256').update(policy?.revision ?? '');
  // not the times of last matches, whose fractions of a millisecond differ between two readings of the clock
  if (counts !== undefined) hash.update(tallies(counts));
  return `"${hash.digest('base64url').slice(0, 16)}"`;
}

async function* whole(policy: Policy | undefined, counts: RuleCounts | undefined): AsyncGenerator<string> {
  let piece = `{"revision":${JSON.stringify(policy?.revision ?? null)},"rules":[`;
  for (const [at, rule] of policy?.rules.entries() ?? []) {
    const row = { ...ruleRow(rule), counts: counts === undefined ? null : countsRow(counts, at) };
    piece += `${at === 0 ? '' : ','}${JSON.stringify(row)}`;
    if (piece.length < PIECE_SIZE) continue;
    yield piece;
    piece = '';
    await nextTurn();
  }
  yield `${piece}]}`;
}

function countsRow(counts: RuleCounts, at: number): object {
  const { lastAtMs, ...numbers } = countsAt(counts, at);
  return { ...numbers, lastAt: lastAtMs === undefined ? null : new Date(lastAtMs).toISOString() };
}

/** `next`: the position of the first rule that did not fit; null: there are none. */
function slice(policy: Policy | undefined, from: number): object {
  const all = policy?.rules ?? [];
  const rules: object[] = [];
  let next = from;
  for (let size = 0; next < all.length && size < PIECE_SIZE; next++) {
    const row = ruleRow(all[next] as Policy['rules'][number]);
    size += JSON.stringify(row).length;
    rules.push(row);
  }
  return { revision: policy?.revision ?? null, total: all.length, from, next: next < all.length ? next : null, rules };
}

/** A row of numbers for each rule that has ever applied or failed: its position, then as {@link countsAt} names them. */
function countRows(counts: RuleCounts | undefined): readonly (readonly number[])[] | null {
  if (counts === undefined) return null;
  const rows: number[][] = [];
  for (let at = 0; at < countedRules(counts); at++) {
    const { applied, denied, failed, shadowDenied, lastAtMs } = countsAt(counts, at);
    if (lastAtMs !== undefined) rows.push([at, applied, denied, failed, shadowDenied, Math.floor(lastAtMs)]);
  }
  return rows;
}
