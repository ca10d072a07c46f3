/**
 * Which texts make the net changes of a sequence of rules; made once for each sequence.
 * **In**: the rules that change a call, in order, failed ones included. **Out**: names and unrendered texts. **Fails**: never.
 */
import { type CallKind, perCallKind } from '../../attributes/carrier.ts';
import type { CompiledText } from '../../expression/index.ts';
import type { NetChanges, NetHeaders } from '../call.ts';
import type { Changes, HeaderChanges } from '../rules/rule.ts';
import type { RuleOutcome } from '../outcome.ts';
import { MAX_HEADER } from '../text-bounds.ts';
import { type FormedPlan, formedPlan } from './formed-changes.ts';
import { fit, type Pair } from './head-room.ts';

export interface PlannedText {
  /** Index of its rule among the rules that change the call. */
  readonly rule: number;
  readonly text: CompiledText;
}
/** Values joined by commas. */
export interface PlannedPair {
  readonly name: string;
  readonly texts: readonly PlannedText[];
  /** Present if no text contains an expression, and all of them together are short enough. */
  readonly constant: Pair | undefined;
}
export interface PlannedHeaders {
  readonly set: readonly PlannedPair[];
  readonly append: readonly PlannedPair[];
  readonly remove: readonly string[];
}
export interface PlannedChanges {
  readonly request: PlannedHeaders;
  readonly response: PlannedHeaders;
  readonly query: { readonly set: readonly PlannedPair[]; readonly remove: readonly string[] };
  readonly metadata: readonly PlannedPair[];
}
export interface Plan extends PlannedChanges {
  /** The net result, if no text contains an expression and there is room for all of them. */
  readonly constant: NetChanges | undefined;
  /** Present if it has expressions, and only sets and removes headers, each by one text. */
  readonly formed: FormedPlan | undefined;
}

/** A node of the trie of rule sequences, with the plan of the sequence that ends here. */
class PlanNode {
  plan: Plan | undefined;
  readonly next = new Map<Changes, PlanNode>();
  readonly nextFailed = new Map<Changes, PlanNode>();
}
/** By call and the first rule's changes, so that plans are freed with the policy. */
const roots = perCallKind(
  () => new WeakMap<Changes, { readonly ok: PlanNode; readonly failed: PlanNode; nodes: number }>(),
);
/** Clients choose which rules apply together, so the number of plans is bounded. */
const MAX_NODES = 1000;

export function planOf(outcomes: readonly RuleOutcome[], call: CallKind): Plan {
  const [first] = outcomes;
  const firstChanges = first?.prepared.rule.onAllow as Changes;
  let root = roots[call].get(firstChanges);
  if (root === undefined)
    roots[call].set(firstChanges, (root = { ok: new PlanNode(), failed: new PlanNode(), nodes: 0 }));
  let node = first?.failed === true ? root.failed : root.ok;
  for (let at = 1; at < outcomes.length; at++) {
    const {
      prepared: {
        rule: { onAllow },
      },
      failed,
    } = outcomes[at] as RuleOutcome;
    const nodes = failed ? node.nextFailed : node.next;
    let next = nodes.get(onAllow as Changes);
    if (next === undefined) {
      if (root.nodes >= MAX_NODES) return newPlan(outcomes, call);
      root.nodes++;
      nodes.set(onAllow as Changes, (next = new PlanNode()));
    }
    node = next;
  }
  return (node.plan ??= newPlan(outcomes, call));
}

function newPlan(outcomes: readonly RuleOutcome[], call: CallKind): Plan {
  const request = new NetNames();
  const response = new NetNames();
  const query = new NetNames();
  const metadata = new Map<string, PlannedPair>();
  outcomes.forEach(
    (
      {
        prepared: {
          rule: { onAllow },
        },
        failed,
      },
      rule,
    ) => {
      if (onAllow === undefined) return;
      if (call === 'http') {
        request.add(onAllow.request, rule, failed);
        query.add({ ...onAllow.query, append: [] }, rule, failed);
      }
      if (failed) return;
      if (call !== 'tcp') response.add(onAllow.response, rule, failed);
      if (call !== 'limit')
        for (const [name, text] of onAllow.metadata) metadata.set(name, pairOf(name, [{ rule, text }]));
    },
  );
  const { set, remove } = query.result();
  const plan = {
    request: request.result(),
    response: response.result(),
    query: { set, remove },
    metadata: [...metadata.values()],
  };
  const planned = [
    plan.request.set,
    plan.request.append,
    plan.response.set,
    plan.response.append,
    plan.query.set,
    plan.metadata,
  ].flat();
  const constants = planned.flatMap(({ constant }) => (constant === undefined ? [] : [constant]));
  const isConstant = constants.length === planned.length && fit(constants);
  return isConstant
    ? { ...plan, constant: constantOf(plan), formed: undefined }
    : { ...plan, constant: undefined, formed: formedPlan(plan) };
}

function pairOf(name: string, texts: readonly PlannedText[]): PlannedPair {
  const isConstant = texts.every(({ text }) => text.constant !== undefined);
  const joined = isConstant ? texts.map(({ text }) => text.constant ?? '').join(',') : '';
  return { name, texts, constant: isConstant && joined.length <= MAX_HEADER ? [name, joined] : undefined };
}

function constantOf({ request, response, query, metadata }: PlannedChanges): NetChanges {
  const pairs = (planned: readonly PlannedPair[]): Pair[] =>
    planned.flatMap((pair) => (pair.constant === undefined ? [] : [pair.constant]));
  const headers = ({ set, append, remove }: PlannedHeaders): NetHeaders => ({
    set: pairs(set),
    append: pairs(append),
    remove,
  });
  return {
    request: headers(request),
    response: headers(response),
    query: { set: pairs(query.set), remove: query.remove },
    metadata: pairs(metadata),
    isConstant: true,
  };
}

interface NetName {
  readonly name: string;
  replaces: boolean;
  texts: PlannedText[];
}

export const NO_PLANNED_HEADERS: PlannedHeaders = { set: [], append: [], remove: [] };

/** Per lower-case name: texts that replace the value (none: removed), or texts to append. */
class NetNames {
  readonly #names = new Map<string, NetName>();

  /** Order within a rule: remove, set, append. */
  add({ set, append, remove }: HeaderChanges, rule: number, failed: boolean): void {
    if (failed) for (const [name] of set) this.#replace(name, []); // a header from the client must not be taken for ours
    for (const name of remove) this.#replace(name, []);
    if (failed) return;
    for (const [name, text] of set) this.#replace(name, [{ rule, text }]);
    for (const [name, text] of append) this.#of(name).texts.push({ rule, text });
  }

  result(): PlannedHeaders {
    if (this.#names.size === 0) return NO_PLANNED_HEADERS;
    const set: PlannedPair[] = [];
    const append: PlannedPair[] = [];
    const remove: string[] = [];
    const apart = (name: string, texts: readonly PlannedText[]): PlannedPair[] =>
      texts.map((text) => pairOf(name, [text]));
    for (const [key, { name, replaces, texts }] of this.#names) {
      if (!replaces) append.push(...apart(name, texts));
      else if (texts.length === 0) remove.push(name);
      else if (key === 'set-cookie') set.push(...apart(name, texts)); // the one header whose values may not be joined
      else set.push(pairOf(name, texts));
    }
    return { set, append, remove };
  }

  #replace(name: string, texts: PlannedText[]): void {
    const net = this.#of(name);
    net.replaces = true;
    net.texts = texts;
  }

  #of(name: string): NetName {
    const key = name.toLowerCase();
    let net = this.#names.get(key);
    if (net === undefined) this.#names.set(key, (net = { name, replaces: false, texts: [] }));
    return net;
  }
}
