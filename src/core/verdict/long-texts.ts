/** The log line of texts that are longer than their bound, for each rule at most one a minute. */
import type { PreparedRule } from '../outcome.ts';
import { MAX_BODY, MAX_HEAD, MAX_HEADER, MAX_HEADERS } from '../text-bounds.ts';

/** What became of it. */
export type LongTextResult = 'the text is cut' | 'it is left out' | 'the changes of the rule are undone';

const HEADER = `${MAX_HEADER} characters`;
const BODY = `${MAX_BODY} characters`;
const HEAD = `${MAX_HEADERS} headers, parameters and metadata of an answer, and ${MAX_HEAD} octets for all of them`;
const BOUNDS = { header: HEADER, body: BODY, head: HEAD };

/** `text`: where it stands in the rule, `onAllow request x-user`. */
export function noteLongText(
  { rule, longTexts }: PreparedRule,
  text: string,
  bound: keyof typeof BOUNDS,
  result: LongTextResult,
): void {
  longTexts.write(rule, () => ({
    rule: rule.name,
    text,
    bound: BOUNDS[bound],
    result,
    hint: bound === 'head' ? FEWER : SHORTER,
  }));
}

const FEWER = 'set fewer of them, or shorten them with substring(0, n)';
const SHORTER = 'shorten it with substring(0, n), or let the rule match only where size() of what it reads is small';
