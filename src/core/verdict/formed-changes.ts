/**
 * Net changes that set and remove headers, with texts that are not put together: a frontend that writes their parts needs no string of
 * the whole, nor a search of it.
 * **In**: a plan, and the rules of a call. **Out**: the changes. **Fails**: with `undefined` if a text fails, or is or may be too long
 * (net-changes.ts then renders all of them).
 */
import type { Bag } from '../../attributes/bag.ts';
import { withoutControls } from '../../text/controls.ts';
import {
  type ChangesForm,
  type FormedHeader,
  type FormedHeaders,
  type NetChanges,
  type NetHeaders,
  NO_CHANGES,
} from '../call.ts';
import type { RuleOutcome } from '../outcome.ts';
import { MAX_HEAD, MAX_HEADERS } from '../text-bounds.ts';
import type { PlannedChanges, PlannedHeaders, PlannedPair, PlannedText } from './change-plan.ts';
import { bagOfTexts } from './denial-bag.ts';
import { mostOctets } from './head-room.ts';

export interface FormedPlan {
  readonly form: ChangesForm;
  /** Those with expressions, in the order of {@link NetChanges.values}. */
  readonly texts: readonly PlannedText[];
  /** Of all texts together. */
  readonly values: number;
  /** Characters that the texts with expressions may have together; a unit of UTF-16 counts as three octets. */
  readonly room: number;
}

export function formedPlan({ request, response, query, metadata }: PlannedChanges): FormedPlan | undefined {
  if (query.set.length > 0 || query.remove.length > 0 || metadata.length > 0) return undefined;
  if (request.append.length > 0 || response.append.length > 0) return undefined;
  const pairs = [...request.set, ...response.set];
  if (pairs.length > MAX_HEADERS) return undefined;
  if (pairs.some(({ texts, constant }) => constant === undefined && texts.length !== 1)) return undefined;
  if (hasRepeats(request) || hasRepeats(response)) return undefined;
  const texts = pairs.flatMap(({ texts: [text], constant }) =>
    text === undefined || constant !== undefined ? [] : [text],
  );
  const certain = pairs.map(({ name, constant }) => constant ?? ([name, ''] as const));
  return {
    form: { request: formedHeaders(request), response: formedHeaders(response) },
    texts,
    values: texts.reduce((sum, { text: { literals } }) => sum + literals.length - 1, 0),
    room: Math.floor((MAX_HEAD - mostOctets(certain)) / 3),
  };
}

const hasRepeats = ({ set }: PlannedHeaders): boolean =>
  new Set(set.map(({ name }) => name.toLowerCase())).size < set.length;

const formedHeaders = ({ set, remove }: PlannedHeaders): FormedHeaders => ({ set: set.map(formedHeader), remove });

const formedHeader = ({ name, constant, texts: [text] }: PlannedPair): FormedHeader => ({
  name,
  literals: constant === undefined ? (text?.text.literals ?? ['']) : [constant[1]],
});

/** `outcomes`: of the plan's rules. */
export function formedChanges(
  { form, texts, values: count, room }: FormedPlan,
  outcomes: readonly RuleOutcome[],
): NetChanges | undefined {
  // oxlint-disable-next-line unicorn/no-new-array -- of the right length; pushing would allocate room for 17
  const values = new Array<string>(count);
  let characters = 0;
  let from = 0;
  let rendered = -1;
  let bag: Bag | undefined;
  for (let at = 0; at < texts.length; at++) {
    const { rule, text } = texts[at] as PlannedText;
    if (bag === undefined || rule !== rendered) bag = bagOfTexts(outcomes[rule] as RuleOutcome);
    rendered = rule;
    const length = text.values(bag, values, from);
    if (length < 0) return undefined;
    characters += length;
    from += text.literals.length - 1;
  }
  return characters <= room ? new FormedChanges(form, values) : undefined;
}

class FormedChanges implements NetChanges {
  readonly isConstant = false;
  readonly form: ChangesForm;
  readonly values: readonly string[];
  #joined: Pick<NetChanges, 'request' | 'response'> | undefined;

  constructor(form: ChangesForm, values: readonly string[]) {
    this.form = form;
    this.values = values;
  }

  get request(): NetHeaders {
    return this.#strings().request;
  }

  get response(): NetHeaders {
    return this.#strings().response;
  }

  get query(): NetChanges['query'] {
    return NO_CHANGES.query;
  }

  get metadata(): NetChanges['metadata'] {
    return NO_CHANGES.metadata;
  }

  #strings(): Pick<NetChanges, 'request' | 'response'> {
    return (this.#joined ??= this.#join());
  }

  #join(): Pick<NetChanges, 'request' | 'response'> {
    let at = 0;
    const headers = ({ set, remove }: FormedHeaders): NetHeaders => ({
      set: set.map(({ name, literals: [first = '', ...rest] }) => [
        name,
        rest.reduce((text, literal) => text + withoutControls(this.values[at++] ?? '') + literal, first),
      ]),
      append: [],
      remove,
    });
    return { request: headers(this.form.request), response: headers(this.form.response) };
  }
}
