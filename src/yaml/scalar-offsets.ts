/**
 * Maps offsets in a YAML scalar's value to offsets in the file, which differ by quotes, escapes, indentation and folded lines;
 * an error inside an expression must point at the right character.
 */
import type { ScalarNode } from './nodes.ts';

/** The file offset of an offset in the scalar's value; the start of the scalar if it cannot be mapped. */
export function scalarOffset(node: ScalarNode, offset: number): number {
  const { source, start, end } = node.place;
  const raw = source.text.slice(start, end);
  const value = String(node.value);
  const quote = node.style === 'single' || node.style === 'double' ? 1 : 0;
  // Nothing is escaped or folded
  if (raw.length === value.length + 2 * quote && raw.startsWith(value, quote)) return start + quote + offset;
  const map = style(node.style, raw);
  if (map === undefined || map.text !== value) return start;
  const at = map.offsets[offset] ?? (map.offsets.at(-1) ?? -1) + 1;
  return start + at;
}

interface Decoded {
  text: string;
  readonly offsets: number[];
}

function style(kind: ScalarNode['style'], raw: string): Decoded | undefined {
  switch (kind) {
    case 'plain':
      return flow(raw, 0, raw.length, 'plain');
    case 'single':
    case 'double':
      return flow(raw, 1, raw.endsWith(raw[0] ?? '') ? raw.length - 1 : raw.length, kind);
    case 'literal':
      return literal(raw);
    case 'folded':
      return folded(raw);
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  0: '\0',
  a: '\x07',
  b: '\b',
  e: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  N: '\u0085',
  _: '\u00a0',
  L: '\u2028',
  P: '\u2029',
  ' ': ' ',
  '"': '"',
  '/': '/',
  '\\': '\\',
  '\t': '\t',
};
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** Plain and quoted scalars: line breaks fold to a space, or n breaks to n-1 newlines. */
function flow(raw: string, from: number, to: number, kind: 'plain' | 'single' | 'double'): Decoded {
  const out: Decoded = { text: '', offsets: [] };
  const push = (text: string, at: number): void => {
    for (let unit = 0; unit < text.length; unit++) out.offsets.push(at);
    out.text += text;
  };
  for (let at = from; at < to;) {
    const char = raw[at] ?? '';
    if (char === '\\' && kind === 'double') {
      const next = raw[at + 1] ?? '';
      const digits = HEX_DIGITS[next];
      if (digits !== undefined) {
        push(String.fromCodePoint(Number.parseInt(raw.slice(at + 2, at + 2 + digits), 16) || 0), at);
        at += 2 + digits;
      } else if (next === '\n' || next === '\r') {
        at += /^\\\r?\n[ \t]*/.exec(raw.slice(at))?.[0].length ?? 2;
      } else {
        push(ESCAPES[next] ?? next, at);
        at += 2;
      }
    } else if (kind === 'single' && char === "'" && raw[at + 1] === "'") {
      push("'", at);
      at += 2;
    } else if (/[\s]/.test(char)) {
      const blank = /^[ \t]*(?:\r?\n[ \t]*)+/.exec(raw.slice(at))?.[0];
      if (blank === undefined) {
        push(char, at);
        at++;
      } else {
        const breaks = blank.split('\n').length - 1;
        push(breaks === 1 ? ' ' : '\n'.repeat(breaks - 1), at);
        at += blank.length;
      }
    } else {
      push(char, at);
      at++;
    }
  }
  return out;
}

/** A literal block (`|`): each line without its indentation. */
function literal(raw: string): Decoded | undefined {
  const header = /^[|>]([-+\d]*)[^\n]*\n/.exec(raw);
  if (header === null) return undefined;
  const out: Decoded = { text: '', offsets: [] };
  const body = raw.slice(header[0].length);
  const indent = /^(?:[ ]*\r?\n)*([ ]*)/.exec(body)?.[1]?.length ?? 0;
  let at = header[0].length;
  for (const line of body.split(/(?<=\n)/)) {
    const text = line.slice(Math.min(indent, /^ */.exec(line)?.[0].length ?? 0)).replace(/\r\n$/, '\n');
    const skipped = line.length - line.replace(/^ */, (blanks) => blanks.slice(indent)).length;
    for (let unit = 0; unit < text.length; unit++) out.offsets.push(at + skipped + unit);
    out.text += text;
    at += line.length;
  }
  return chomped(out, header[1] ?? '');
}

function chomped(decoded: Decoded, indicator: string): Decoded {
  if (indicator.includes('+')) return decoded;
  const body = decoded.text.replace(/\n+$/, '');
  decoded.text = indicator.includes('-') || body === '' ? body : `${body}\n`;
  decoded.offsets.length = decoded.text.length;
  return decoded;
}

/** A folded block (`>`): as literal, but a single line break between two lines of text is a space. */
function folded(raw: string): Decoded | undefined {
  const lines = literal(raw);
  if (lines === undefined) return undefined;
  const out: Decoded = { text: '', offsets: [] };
  const breaks = /\n+/y;
  for (let at = 0; at < lines.text.length;) {
    breaks.lastIndex = at;
    const run = breaks.exec(lines.text)?.[0].length ?? 0;
    const next = lines.text[at + run] ?? '';
    const between = at > 0 && next !== '' && next !== ' ' && next !== '\t';
    const text =
      run === 0 ? (lines.text[at] ?? '') : !between ? '\n'.repeat(run) : run === 1 ? ' ' : '\n'.repeat(run - 1);
    for (let unit = 0; unit < text.length; unit++) out.offsets.push(lines.offsets[at + unit] ?? 0);
    out.text += text;
    at += Math.max(run, 1);
  }
  return out;
}
