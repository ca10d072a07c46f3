/**
 * **In**: the rules that change a call, in order, failed ones included. **Out**: the net result per name.
 * **Fails**: never; a text that fails fails its rule, and headers that the rule would set are removed instead.
 *
 * The net result of a sequence of rules is planned once, over unrendered texts; a call renders them.
 */
import type { Bag } from '../../attributes/bag.ts';
import { type CallKind, perCallKind } from '../../attributes/carrier.ts';
import type { CompiledText } from '../../expression/index.ts';
import { NO_CHANGES, NO_HEADERS, type NetChanges, type NetHeaders } from '../call.ts';
import type { Changes, HeaderChanges } from '../rules/rule.ts';
import { bagWithOutputs } from './denial-bag.ts';
import type { RuleOutcome } from '../outcome.ts';

type Pair = readonly [name: string, value: string];

/** `outcomes`: of an allowed call. A tcp call carries metadata only, a limit call response headers only. */
export function netChanges(outcomes: readonly RuleOutcome[], call: CallKind): NetChanges {
  let changing: RuleOutcome[] | undefined;
  for (const outcome of outcomes) {
    if (!changes(outcome)) continue;
    if (changing === undefined) changing = [outcome];
    else changing.push(outcome);
  }
  if (changing === undefined) return NO_CHANGES;
  for (;;) {
    const { constant, request, response, query, metadata } = planOf(changing, call);
    if (constant !== undefined) return constant;
    const renderer = new Renderer(changing);
    const net: NetChanges = {
      request: renderer.headers(request),
      response: renderer.headers(response),
      query: { set: renderer.pairs(query.set), remove: query.remove },
      metadata: renderer.pairs(metadata),
      isConstant: false,
    };
    // A text that failed fails its rule: without that rule's texts the net result is another one.
    if (!renderer.hasFailed) return net;
  }
}

const changes = ({
  prepared: {
    rule: { onAllow },
  },
  enforced,
  failed,
  result,
}: RuleOutcome): boolean => onAllow !== undefined && enforced && (failed || result.kind === 'passed');

class Renderer {
  hasFailed = false;
  readonly #outcomes: readonly RuleOutcome[];
  #bags: Bag[] | undefined;

  constructor(outcomes: readonly RuleOutcome[]) {
    this.#outcomes = outcomes;
  }

  headers(planned: PlannedHeaders): NetHeaders {
    if (planned === NO_PLANNED_HEADERS) return NO_HEADERS;
    return { set: this.pairs(planned.set), append: this.pairs(planned.append), remove: planned.remove };
  }

  pairs(planned: readonly PlannedPair[]): readonly Pair[] {
    if (planned.length === 0) return NO_HEADERS.set;
    // oxlint-disable-next-line unicorn/no-new-array -- pushing to an empty array allocates room for 17
    const pairs = new Array<Pair>(planned.length);
    for (let at = 0; at < planned.length; at++) {
      const pair = planned[at] as PlannedPair;
      pairs[at] = pair.constant ?? this.#pair(pair);
    }
    return pairs;
  }

  #pair({ name, texts }: PlannedPair): Pair {
    let value = this.#text(texts[0] as PlannedText);
    for (let at = 1; at < texts.length; at++) value = `${value},${this.#text(texts[at] as PlannedText)}`;
    return [name, value];
  }

  #text({ rule, text }: PlannedText): string {
    if (text.constant !== undefined) return text.constant;
    const { text: value, failed } = text.render(this.#bagOf(rule));
    const outcome = this.#outcomes[rule] as RuleOutcome;
    if (failed !== undefined && !outcome.failed) {
      this.hasFailed = true;
      outcome.failed = true;
      outcome.prepared.meters.texts++;
    }
    return value;
  }

  #bagOf(at: number): Bag {
    const {
      prepared: { rule },
      bag,
      result,
    } = this.#outcomes[at] as RuleOutcome;
    if (rule.out.names.length === 0) return bag;
    const bags = (this.#bags ??= []);
    return (bags[at] ??= bagWithOutputs(rule, bag, result.kind === 'passed' ? result.answer : undefined));
  }
}

// ---------------------------------------------------------------- cached plans

interface PlannedText {
  /** Index of its rule among the rules that change the call. */
  readonly rule: number;
  readonly text: CompiledText;
}
/** Values joined by commas. */
interface PlannedPair {
  readonly name: string;
  readonly texts: readonly PlannedText[];
  /** Present if no text contains an expression. */
  readonly constant: Pair | undefined;
}
interface PlannedHeaders {
  readonly set: readonly PlannedPair[];
  readonly append: readonly PlannedPair[];
  readonly remove: readonly string[];
}
interface Plan {
  readonly request: PlannedHeaders;
  readonly response: PlannedHeaders;
  readonly query: { readonly set: readonly PlannedPair[]; readonly remove: readonly string[] };
  readonly metadata: readonly PlannedPair[];
  /** The net result, if no text contains an expression. */
  readonly constant: NetChanges | undefined;
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

function planOf(outcomes: readonly RuleOutcome[], call: CallKind): Plan {
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
  const isConstant = planned.every((pair) => pair.constant !== undefined);
  return { ...plan, constant: isConstant ? constantOf(plan) : undefined };
}

function pairOf(name: string, texts: readonly PlannedText[]): PlannedPair {
  const isConstant = texts.every(({ text }) => text.constant !== undefined);
  return {
    name,
    texts,
    constant: isConstant ? [name, texts.map(({ text }) => text.constant ?? '').join(',')] : undefined,
  };
}

function constantOf({ request, response, query, metadata }: Omit<Plan, 'constant'>): NetChanges {
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

const NO_PLANNED_HEADERS: PlannedHeaders = { set: [], append: [], remove: [] };

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
