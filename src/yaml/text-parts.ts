/**
 * Divides the lists of rules in a file by lines, before YAML is parsed, so that each small part is released before the next one
 * is parsed.
 * **In**: the text of a file. **Out**: the trunk (the text without most items of these lists), and the items as parts.
 * **Fails**: with `undefined` if the file is short or a line is unusual; the file is then parsed as a whole.
 *
 * In a block list whose items begin in column n, no line of a scalar or a flow collection begins in column n: such lines are
 * indented deeper. A `- ` in that column therefore begins an item. Two conditions are left to the caller, who sees them when
 * parsing: the list is where it seems to be in the trunk, and no construct is open at the end of a part.
 */
import type { TimeSlice } from '../time/time-slice.ts';

/** Complete items of a list. */
export interface TextPart {
  readonly start: number;
  readonly end: number;
  readonly items: number;
}

export interface DividedList {
  /** Start of the first item, which stays in the trunk. */
  readonly start: number;
  readonly parts: readonly TextPart[];
}

export interface DividedText {
  readonly trunk: string;
  /** In the order of the text. */
  readonly lists: readonly DividedList[];
}

/** In UTF-16 units: small enough to load within a time slice, large enough to amortize a parser. */
export const PART_LENGTH = 4096;
/** A longer item would block the event loop. */
const LONGEST_PART = 65_536;
const LINES_BETWEEN_LOOKS = 256;
const RULES_KEY = /rules: *(?:#.*)?\r?(?:\n|$)/y;

const [TAB, NEWLINE, RETURN, SPACE, HASH, PERCENT, HYPHEN] = [0x09, 0x0a, 0x0d, 0x20, 0x23, 0x25, 0x2d];

export async function dividedText(
  text: string,
  slice: TimeSlice,
  partLength: number = PART_LENGTH,
): Promise<DividedText | undefined> {
  const lists: DividedList[] = [];
  let open: OpenList | undefined;
  let lines = 0;
  for (let start = 0; start < text.length; start = lineAfter(text, start)) {
    if (++lines % LINES_BETWEEN_LOOKS === 0 && slice.isOver) await slice.next();
    let at = start;
    while (text.charCodeAt(at) === SPACE) at++;
    const char = text.charCodeAt(at);
    if (
      at === text.length ||
      char === NEWLINE ||
      char === HASH ||
      (char === RETURN && text.charCodeAt(at + 1) === NEWLINE)
    )
      continue;
    const column = at - start;
    if (char === TAB || (char === PERCENT && column === 0)) return undefined; // a directive would apply to the parts, too
    const line = open?.take(text, start, column) ?? 'ends';
    if (line === 'unusual') return undefined;
    if (line === 'taken') continue;
    if (open?.isWorthDividing === true) lists.push(open.end(start));
    open = isRulesKey(text, start) ? new OpenList(partLength) : undefined;
  }
  if (open?.isWorthDividing === true) lists.push(open.end(text.length));
  if (lists.length === 0 || lists.some(({ parts }) => parts.some(({ start, end }) => end - start > LONGEST_PART)))
    return undefined;
  return { trunk: trunkOf(text, lists), lists };
}

/** Maps an offset of the trunk to the text. */
export function offsetInText(offset: number, lists: readonly DividedList[]): number {
  let inText = offset;
  for (const list of lists) {
    const { start, end } = cutOf(list);
    if (inText < start) break;
    inText += end - start;
  }
  return inText;
}

class OpenList {
  readonly #partLength: number;
  readonly #parts: TextPart[] = [];
  #column: number | undefined;
  #start = 0;
  /** The current part; none during the first item. */
  #partStart: number | undefined;
  #items = 0;

  constructor(partLength: number) {
    this.#partLength = partLength;
  }

  get isWorthDividing(): boolean {
    return this.#parts.length > 0;
  }

  /** A line that is neither blank nor a comment, with its indentation. */
  take(text: string, start: number, column: number): 'taken' | 'ends' | 'unusual' {
    const isItem = text.charCodeAt(start + column) === HYPHEN && endsIndicator(text.charCodeAt(start + column + 1));
    if (this.#column === undefined) {
      if (!isItem) return column === 0 ? 'ends' : 'unusual';
      this.#column = column;
      this.#start = start + column;
      return 'taken';
    }
    if (column > this.#column) return 'taken';
    if (column < this.#column || !isItem) return column === 0 ? 'ends' : 'unusual';
    if (this.#partStart === undefined) this.#partStart = start;
    else if (start - this.#partStart >= this.#partLength) this.#endPart(start);
    this.#items++;
    return 'taken';
  }

  end(end: number): DividedList {
    this.#endPart(end);
    return { start: this.#start, parts: this.#parts };
  }

  #endPart(end: number): void {
    this.#parts.push({ start: this.#partStart ?? end, end, items: this.#items });
    this.#partStart = end;
    this.#items = 0;
  }
}

/** `char` is NaN at the end of the text. */
const endsIndicator = (char: number): boolean =>
  char === SPACE || char === NEWLINE || char === RETURN || Number.isNaN(char);

const lineAfter = (text: string, start: number): number => {
  const newline = text.indexOf('\n', start);
  return newline < 0 ? text.length : newline + 1;
};

function isRulesKey(text: string, start: number): boolean {
  RULES_KEY.lastIndex = start;
  return RULES_KEY.test(text);
}

const cutOf = ({ parts }: DividedList): { readonly start: number; readonly end: number } => ({
  start: parts[0]?.start ?? 0,
  end: parts.at(-1)?.end ?? 0,
});

function trunkOf(text: string, lists: readonly DividedList[]): string {
  let trunk = '';
  let from = 0;
  for (const { start, end } of lists.map(cutOf)) {
    trunk += text.slice(from, start);
    from = end;
  }
  return trunk + text.slice(from);
}
