/**
 * **In**: the rules that change a call, in order, failed ones included. **Out**: the net result per name.
 * **Fails**: never; a text that fails fails its rule, and headers that the rule would set are removed instead. So does one for the
 * upstream or the proxy that is too long; one for the client is cut (text-bounds.ts has the reason).
 *
 * The net result of a sequence of rules is planned once, over unrendered texts; a call renders them.
 */
import type { Bag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { shortened } from '../../text/shortened.ts';
import { NO_CHANGES, NO_HEADERS, type NetChanges, type NetHeaders } from '../call.ts';
import type { RuleOutcome } from '../outcome.ts';
import { MAX_HEAD, MAX_HEADER, MAX_HEADERS } from '../text-bounds.ts';
import {
  NO_PLANNED_HEADERS,
  type Plan,
  type PlannedHeaders,
  type PlannedPair,
  type PlannedText,
  planOf,
} from './change-plan.ts';
import { bagOfTexts } from './denial-bag.ts';
import { formedChanges } from './formed-changes.ts';
import { mostOctets, type Pair, thatFit } from './head-room.ts';
import { noteLongText } from './long-texts.ts';

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
    const plan = planOf(changing, call);
    if (plan.constant !== undefined) return plan.constant;
    const formed = plan.formed && formedChanges(plan.formed, changing);
    if (formed !== undefined) return formed;
    const renderer = new Renderer(changing);
    const net = renderer.changes(plan);
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

  changes(plan: Plan): NetChanges {
    const net: NetChanges = {
      request: this.#headers(plan.request, 'request'),
      response: this.#headers(plan.response, 'response'),
      query: { set: this.#pairs(plan.query.set, 'query'), remove: plan.query.remove },
      metadata: this.#pairs(plan.metadata, 'metadata'),
      isConstant: false,
    };
    if (this.hasFailed) return net; // rendered again, without the texts of the failed rule, which would take room from others
    return isSurelyShort(net) ? net : this.#withRoom(plan, net);
  }

  #headers(planned: PlannedHeaders, part: Part): NetHeaders {
    if (planned === NO_PLANNED_HEADERS) return NO_HEADERS;
    return { set: this.#pairs(planned.set, part), append: this.#pairs(planned.append, part), remove: planned.remove };
  }

  #pairs(planned: readonly PlannedPair[], part: Part): readonly Pair[] {
    if (planned.length === 0) return NO_HEADERS.set;
    // oxlint-disable-next-line unicorn/no-new-array -- pushing to an empty array allocates room for 17
    const pairs = new Array<Pair>(planned.length);
    for (let at = 0; at < planned.length; at++) {
      const pair = planned[at] as PlannedPair;
      pairs[at] = pair.constant ?? this.#pair(pair, part);
    }
    return pairs;
  }

  #pair({ name, texts }: PlannedPair, part: Part): Pair {
    let value = this.#text(texts[0] as PlannedText, part, name);
    for (let at = 1; at < texts.length; at++) {
      const text = texts[at] as PlannedText;
      value = `${value},${this.#text(text, part, name)}`;
      if (value.length <= MAX_HEADER) continue;
      value = shortened(value, MAX_HEADER);
      this.#tooLong(text, part, name, 'header');
      break;
    }
    return [name, value];
  }

  #text(planned: PlannedText, part: Part, name: string): string {
    if (planned.text.constant !== undefined) return planned.text.constant;
    const { text, failed, isCut } = planned.text.render(this.#bagOf(planned.rule));
    if (failed !== undefined) this.#fail(planned);
    if (isCut) this.#tooLong(planned, part, name, 'header');
    return text;
  }

  /** Without what there is no room for. */
  #withRoom(plan: Plan, net: NetChanges): NetChanges {
    const { request, response, query, metadata } = net;
    const fitting = thatFit(
      [request.set, request.append, query.set, metadata].flat(),
      [response.set, response.append].flat(), // last, since they are left out and fail no rule
    );
    const kept = (pairs: readonly Pair[], planned: readonly PlannedPair[], part: Part): readonly Pair[] =>
      pairs.filter((pair, at) => {
        if (fitting.has(pair)) return true;
        const last = planned[at]?.texts.at(-1);
        if (last !== undefined) this.#tooLong(last, part, pair[0], 'head');
        return false;
      });
    const headers = (own: NetHeaders, planned: PlannedHeaders, part: Part): NetHeaders => ({
      set: kept(own.set, planned.set, part),
      append: kept(own.append, planned.append, part),
      remove: own.remove,
    });
    return {
      request: headers(request, plan.request, 'request'),
      query: { set: kept(query.set, plan.query.set, 'query'), remove: query.remove },
      metadata: kept(metadata, plan.metadata, 'metadata'),
      response: headers(response, plan.response, 'response'),
      isConstant: false,
    };
  }

  #tooLong(planned: PlannedText, part: Part, name: string, bound: 'header' | 'head'): void {
    const { prepared } = this.#outcomes[planned.rule] as RuleOutcome;
    const isForClient = part === 'response';
    if (!isForClient) this.#fail(planned);
    const cut = bound === 'header' ? 'the text is cut' : 'it is left out';
    const result = isForClient ? cut : 'the changes of the rule are undone';
    noteLongText(prepared, `onAllow ${part} ${name}`, bound, result);
  }

  #fail({ rule }: PlannedText): void {
    const outcome = this.#outcomes[rule] as RuleOutcome;
    if (outcome.failed) return;
    this.hasFailed = true;
    outcome.failed = true;
    outcome.prepared.meters.texts++;
  }

  #bagOf(at: number): Bag {
    return ((this.#bags ??= [])[at] ??= bagOfTexts(this.#outcomes[at] as RuleOutcome));
  }
}

/** List by list, since an array of them would be garbage of each call. */
const isSurelyShort = ({ request, response, query, metadata }: NetChanges): boolean =>
  request.set.length + request.append.length + query.set.length + metadata.length <=
    MAX_HEADERS - response.set.length - response.append.length &&
  mostOctets(request.set) + mostOctets(request.append) + mostOctets(query.set) + mostOctets(metadata) <=
    MAX_HEAD - mostOctets(response.set) - mostOctets(response.append);

type Part = 'request' | 'response' | 'query' | 'metadata';
