/** Tokens of Go's expressions. **In**: text. **Out**: tokens. **Fails**: with a {@link MixerSyntaxError}. */
export interface Token {
  readonly kind: 'name' | 'int' | 'float' | 'string' | 'char' | 'sign' | 'newline' | 'end';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const PATTERNS: readonly (readonly [Token['kind'], RegExp])[] = [
  ['float', /(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+/y],
  ['int', /0[xX][0-9a-fA-F]+|\d+/y],
  ['name', /[\p{L}_][\p{L}\p{Nd}_]*/uy],
  ['string', /"(?:[^"\\\n]|\\.)*"|`[^`]*`/y],
  ['char', /'(?:[^'\\\n]|\\[^\n])+'/y],
  ['sign', /&&|\|\||==|!=|<=|>=|<<|>>|&\^|[-+*/%&|^!<>().,[\]]/y],
];
const SPACE = /(?:[ \t\r]|\/\/[^\n]*|\/\*[^]*?\*\/)+/y;

/** The messages are those of Go's parser. */
export class MixerSyntaxError extends Error {
  readonly start: number;
  readonly end: number;
  constructor(message: string, start: number, end: number) {
    super(message);
    this.start = start;
    this.end = end;
  }
}

export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    at += SPACE.exec(text)?.[0].length ?? 0;
    if (at >= text.length) break;
    if (text[at] === '\n') {
      // Go inserts a semicolon at the end of a line that ends with an operand.
      const last = tokens.at(-1);
      if (last !== undefined && (last.kind !== 'sign' || last.text === ')' || last.text === ']'))
        tokens.push({ kind: 'newline', text: 'newline', start: at, end: at + 1 });
      at += 1;
      continue;
    }
    const found = PATTERNS.map(([kind, pattern]) => {
      pattern.lastIndex = at;
      return { kind, text: pattern.exec(text)?.[0] };
    }).find((one) => one.text !== undefined);
    if (found?.text === undefined)
      throw new MixerSyntaxError(
        `unable to parse expression '${text}': ${positionOf(text, at)}: illegal character ${JSON.stringify(text[at])}`,
        at,
        at + 1,
      );
    tokens.push({ kind: found.kind, text: found.text, start: at, end: at + found.text.length });
    at += found.text.length;
  }
  while (tokens.at(-1)?.kind === 'newline') tokens.pop();
  tokens.push({ kind: 'end', text: 'EOF', start: text.length, end: text.length });
  return tokens;
}

/** `line:column`, both from 1. */
export function positionOf(text: string, at: number): string {
  const lines = text.slice(0, at).split('\n');
  return `${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
}

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
};

/** Decodes Go's escapes; `undefined` for an invalid one. */
export function unescaped(text: string): string | undefined {
  const bytes: Buffer[] = [];
  const escape = /\\(?:([abfnrtv\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))|[^\\]+/y;
  for (let at = 0; at < text.length; at = escape.lastIndex) {
    escape.lastIndex = at;
    const found = escape.exec(text);
    if (found === null) return undefined;
    const [all, simple, hex, short, long, octal] = found;
    const point = Number.parseInt(short ?? long ?? '0', 16);
    if (point > 0x10ffff || Number.parseInt(octal ?? '0', 8) > 255) return undefined;
    if (simple !== undefined) bytes.push(Buffer.from(SIMPLE[simple] ?? ''));
    else if (hex !== undefined) bytes.push(Buffer.from([Number.parseInt(hex, 16)]));
    else if (octal !== undefined) bytes.push(Buffer.from([Number.parseInt(octal, 8)]));
    else if (short !== undefined || long !== undefined) bytes.push(Buffer.from(String.fromCodePoint(point)));
    else bytes.push(Buffer.from(all));
  }
  return Buffer.concat(bytes).toString('utf8');
}
