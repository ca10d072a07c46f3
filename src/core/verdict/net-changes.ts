/**
 * **In**: the rules that change what passes, in order, with those that failed. **Out**: the net result per name.
 * **Fails**: never; a text that fails fails its rule, and what the rule would set is taken away instead.
 */
import type { Bag } from '../../attributes/bag.ts';
import type { CompiledText } from '../../expression/index.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { NO_CHANGES, NO_HEADERS, type NetChanges, type NetHeaders } from '../call.ts';
import type { Changes, HeaderChanges } from '../rules/rule.ts';
import { outBag } from './out-bag.ts';
import type { RuleOutcome } from './outcome.ts';

type Pair = readonly [name: string, value: string];
type Texts = readonly (readonly [name: string, text: CompiledText])[];

/** `outcomes`: of an allowed call. A tcp call carries metadata only, a limit call response headers only. */
export function netChanges(outcomes: readonly RuleOutcome[], call: CallKind): NetChanges {
  let only: RuleOutcome | undefined;
  for (const outcome of outcomes) {
    if (!changes(outcome)) continue;
    if (only !== undefined) return netOf(outcomes.filter(changes), call);
    only = outcome;
  }
  if (only === undefined) return NO_CHANGES;
  return constantChanges(only, call) ?? netOf([only], call);
}

const changes = ({ prepared: { rule: { onAllow } }, enforced, failed, result }: RuleOutcome): boolean => onAllow !== undefined && enforced && (failed || result.kind === 'passed');

function netOf(outcomes: readonly RuleOutcome[], call: CallKind): NetChanges {
  const net = new Net(call);
  for (const outcome of outcomes) {
    const { rule } = outcome.prepared;
    const { onAllow, action } = rule;
    if (onAllow === undefined) continue;
    const bag = action === undefined ? outcome.bag : outBag(rule, outcome.bag, outcome.result.kind === 'passed' ? outcome.result.answer : undefined);
    const rendered = outcome.failed ? undefined : renderedChanges(onAllow, bag, call);
    if (rendered === undefined && !outcome.failed) {
      outcome.failed = true;
      outcome.prepared.meters.texts++;
    }
    net.add(onAllow, rendered);
  }
  return net.result();
}

// ---------------------------------------------------------------- of one rule without an expression: worked out once

/** By the changes as they are written. */
const constants = new WeakMap<Changes, Map<CallKind, NetChanges> | 'varies'>();

function constantChanges(outcome: RuleOutcome, call: CallKind): NetChanges | undefined {
  const { onAllow } = outcome.prepared.rule;
  if (onAllow === undefined || outcome.failed) return undefined;
  let byCall = constants.get(onAllow);
  if (byCall === undefined) constants.set(onAllow, byCall = isConstant(onAllow) ? new Map() : 'varies');
  if (byCall === 'varies') return undefined;
  let net = byCall.get(call);
  if (net === undefined) byCall.set(call, net = { ...netOf([outcome], call), isConstant: true });
  return net;
}

function isConstant({ request, response, query, metadata }: Changes): boolean {
  return [request.set, request.append, response.set, response.append, query.set, metadata].flat().every(([, text]) => text.constant !== undefined);
}

// ---------------------------------------------------------------- of many

interface Rendered { readonly request: RenderedHeaders; readonly response: RenderedHeaders; readonly query: readonly Pair[]; readonly metadata: readonly Pair[] }
interface RenderedHeaders { readonly set: readonly Pair[]; readonly append: readonly Pair[] }

/** All texts of a rule, or nothing where one of them fails. Only those that this call carries are looked at. */
function renderedChanges({ request, response, query, metadata }: Changes, bag: Bag, call: CallKind): Rendered | undefined {
  let hasFailed = false;
  const pairs = (texts: Texts, isCarried: boolean): Pair[] => (isCarried ? texts.map(([name, text]) => {
    const { text: value, failed } = text.render(bag);
    if (failed !== undefined) hasFailed = true;
    return [name, value];
  }) : []);
  const headers = ({ set, append }: HeaderChanges, isCarried: boolean): RenderedHeaders => ({ set: pairs(set, isCarried), append: pairs(append, isCarried) });
  const rendered = {
    request: headers(request, call === 'http'),
    response: headers(response, call === 'http' || call === 'limit'),
    query: pairs(query.set, call === 'http'),
    metadata: pairs(metadata, call !== 'limit'),
  };
  return hasFailed ? undefined : rendered;
}

class Net {
  readonly #call: CallKind;
  readonly #request = new NetNames();
  readonly #response = new NetNames();
  readonly #query = new NetNames();
  #metadata: Map<string, string> | undefined;

  constructor(call: CallKind) {
    this.#call = call;
  }

  /** Within a rule: remove, set, append. `rendered` is `undefined` where the rule failed. */
  add({ request, response, query }: Changes, rendered: Rendered | undefined): void {
    if (this.#call === 'http') {
      for (const [names, changes, own] of [[this.#request, request, rendered?.request], [this.#query, { ...query, append: [] }, rendered && { set: rendered.query, append: [] }]] as const) {
        if (own === undefined) for (const [name] of changes.set) names.remove(name); // a client's own never passes for ours
        for (const name of changes.remove) names.remove(name);
        if (own !== undefined) names.apply(own);
      }
    }
    if (rendered === undefined) return;
    if (this.#call !== 'tcp') {
      for (const name of response.remove) this.#response.remove(name);
      this.#response.apply(rendered.response);
    }
    for (const [name, value] of rendered.metadata) (this.#metadata ??= new Map<string, string>()).set(name, value);
  }

  result(): NetChanges {
    const { set, remove } = this.#query.result();
    return { request: this.#request.result(), response: this.#response.result(), query: { set, remove }, metadata: this.#metadata === undefined ? NO_CHANGES.metadata : [...this.#metadata], isConstant: false };
  }
}

interface NetName { readonly name: string; replaces: boolean; values: string[] }

/** Per name (in any case) what it comes to: values that replace (none: it is removed), or values that are added. */
class NetNames {
  /** Most calls change nothing of most kinds. */
  #names: Map<string, NetName> | undefined;

  remove(name: string): void {
    const net = this.#of(name);
    net.replaces = true;
    net.values = [];
  }

  apply({ set, append }: RenderedHeaders): void {
    for (const [name, value] of set) {
      const net = this.#of(name);
      net.replaces = true;
      net.values = [value];
    }
    for (const [name, value] of append) this.#of(name).values.push(value);
  }

  result(): NetHeaders {
    if (this.#names === undefined) return NO_HEADERS;
    const set: Pair[] = [];
    const append: Pair[] = [];
    const remove: string[] = [];
    for (const [key, { name, replaces, values }] of this.#names) {
      if (!replaces) append.push(...values.map((value): Pair => [name, value]));
      else if (values.length === 0) remove.push(name);
      else if (key === 'set-cookie') set.push(...values.map((value): Pair => [name, value])); // the one that may not be joined
      else set.push([name, values.join(',')]);
    }
    return { set, append, remove };
  }

  #of(name: string): NetName {
    const key = name.toLowerCase();
    const names = (this.#names ??= new Map<string, NetName>());
    let net = names.get(key);
    if (net === undefined) names.set(key, net = { name, replaces: false, values: [] });
    return net;
  }
}
