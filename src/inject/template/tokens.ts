/** The words of an action. */
import type { InjectError } from '../errors.ts';

export type Token =
  | { readonly kind: 'literal'; readonly text: string; readonly value: string | number | boolean | null }
  | { readonly kind: 'field'; readonly text: string; /** No space stands before it. */ readonly isJoined: boolean }
  | {
      readonly kind: 'name' | 'variable' | 'dot' | 'open' | 'close' | 'pipe' | 'comma' | 'assign';
      readonly text: string;
    };

const WORD =
  /(?<space>\s+)|(?<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?<number>[+-]?(?:0[xX][\da-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))|(?<variable>\$\w*)|\.(?<field>[A-Za-z_]\w*)|(?<name>[A-Za-z_]\w*)|(?<sign>:=|[.()|,=])/y;
const SIGNS = {
  '.': 'dot',
  '(': 'open',
  ')': 'close',
  '|': 'pipe',
  ',': 'comma',
  ':=': 'assign',
  '=': 'assign',
} as const;
const CONSTANTS = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['nil', null],
]);

export function tokensOf(action: string, wrong: (message: string) => InjectError): Token[] {
  const tokens: Token[] = [];
  let isJoined = false;
  for (let at = 0; at < action.length;) {
    WORD.lastIndex = at;
    const groups = WORD.exec(action)?.groups;
    if (groups === undefined) throw wrong(`${JSON.stringify(action.slice(at, at + 20))} is not understood`);
    at = WORD.lastIndex;
    const { space, text, number, variable, field, name, sign } = groups;
    if (text !== undefined) tokens.push({ kind: 'literal', text, value: unquoted(text, wrong) });
    else if (number !== undefined) tokens.push({ kind: 'literal', text: number, value: Number(number) });
    else if (variable !== undefined) tokens.push({ kind: 'variable', text: variable });
    else if (field !== undefined) tokens.push({ kind: 'field', text: field, isJoined });
    else if (name !== undefined) {
      const value = CONSTANTS.get(name);
      tokens.push(value === undefined ? { kind: 'name', text: name } : { kind: 'literal', text: name, value });
    } else if (sign !== undefined) tokens.push({ kind: SIGNS[sign as keyof typeof SIGNS], text: sign });
    isJoined = space === undefined;
  }
  return tokens;
}

/** Go's escapes are those of JSON, and `\a \v \x41 \101 \U0001F600` besides. */
function unquoted(text: string, wrong: (message: string) => InjectError): string {
  if (text.startsWith('`')) return text.slice(1, -1);
  try {
    return JSON.parse(text.replaceAll('\t', '\\t')) as string;
  } catch {
    throw wrong(`${text} has an escape that is not supported; use those of JSON`);
  }
}
