/**
 * Text lines by a template of Envoy's operators.
 * **In**: `%REQ(:METHOD)% %RESPONSE_CODE% %FIELD(user)%`. **Out**: a line per report; an absent value is `-`.
 * **Fails**: when the policy loads, for an operator that is not supported, and for a field that a rule lacks.
 *
 * Quotes, backslashes and control characters of values are escaped (`\"`, `\\`, `\x0a`), since clients choose many of them and a line
 * must stay one line.
 */
import type { ReportEntry } from 'sluice/plugin';
import { reportJson } from '../values/json.ts';
import { HEADER_MAPS, type Operator, OPERATORS, PSEUDO_HEADERS, type Rendering } from './operators.ts';
import { timeByFormat } from './time-format.ts';

type Entry = ReportEntry<unknown>;
type Part = string | ((entry: Entry) => string);

export interface Template {
  /** Without the line end. */
  line(entry: Entry): string;
  /** Fields that a rule must have, each with the operator that reads it and an expression for it. */
  readonly fields: ReadonlyMap<string, { readonly operator: string; readonly expression: string }>;
}

const ABSENT = '-';
/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):10%`, and `%%`. */
const OPERATOR = /%(?:([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?)?%/y;
// oxlint-disable-next-line no-control-regex
const UNSAFE = /["\\\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

export function templateOf(text: string): Template {
  const fields = new Map<string, { readonly operator: string; readonly expression: string }>();
  const parts: Part[] = [];
  let literal = '';
  for (let at = 0; at < text.length;) {
    if (text[at] !== '%') {
      literal += text[at++];
      continue;
    }
    OPERATOR.lastIndex = at;
    const match = OPERATOR.exec(text);
    if (match === null)
      throw new Error(
        `"${text.slice(at, at + 20)}" is no operator; write %NAME% or %NAME(ARGUMENT)%, and %% for a percent sign`,
      );
    at = OPERATOR.lastIndex;
    const [operator, name, argument, length] = match;
    if (name === undefined) {
      literal += '%';
      continue;
    }
    const read = readerOf(operator, name, argument, (field, expression) => fields.set(field, { operator, expression }));
    if (literal !== '') parts.push(literal);
    literal = '';
    parts.push(length === undefined ? read : (entry) => truncated(read(entry), Number(length)));
  }
  if (literal !== '') parts.push(literal);
  if (/[\r\n]/.test(text.trimEnd())) throw new Error('a line end inside the template; each report is one line');
  return {
    fields,
    line(entry) {
      let line = '';
      for (const part of parts) line += typeof part === 'string' ? part : part(entry);
      return line.trimEnd();
    },
  };
}

type Needs = (field: string, expression: string) => void;

function readerOf(
  operator: string,
  name: string,
  argument: string | undefined,
  needs: Needs,
): (entry: Entry) => string {
  const noArgument = (): void => {
    if (argument !== undefined) throw new Error(`${operator}: ${name} has no argument`);
  };
  switch (name) {
    case 'FIELD':
      if (argument === undefined || argument === '')
        throw new Error(`${operator}: write %FIELD(NAME)%, with a field of the rule`);
      needs(argument, 'EXPRESSION');
      return ({ input }) => shown(input[argument], 'text');
    case 'RULE':
      noArgument();
      return ({ sink }) => escaped(String(sink));
    case 'REPORT_ID':
      noArgument();
      return ({ id }) => id;
    case 'REQ':
    case 'RESP':
    case 'TRAILER':
      return headerReader(operator, name, argument, needs);
  }
  const known = OPERATORS.get(name);
  if (known === undefined)
    throw new Error(
      `${operator} is not supported; give the value to the rule as a field, such as input: { ${name.toLowerCase()}: EXPRESSION }, ` +
        `and write %FIELD(${name.toLowerCase()})%`,
    );
  const { field, expression, rendering } = known;
  needs(field, expression);
  if (rendering !== 'time') noArgument();
  else {
    const format = timeByFormat(argument);
    return ({ input }) => {
      const time = timeOf(input[field]);
      return time === undefined ? ABSENT : format(time);
    };
  }
  return ({ input }) => shown(input[field], rendering);
}

/** `%REQ(X?Y)%`: the first header, else the second. */
function headerReader(
  operator: string,
  name: string,
  argument: string | undefined,
  needs: Needs,
): (entry: Entry) => string {
  const names = (argument ?? '').toLowerCase().split('?');
  if (names.length > 2 || names.some((one) => one === ''))
    throw new Error(`${operator}: write %${name}(HEADER)% or %${name}(HEADER?OTHER)%`);
  const map = HEADER_MAPS.get(name) as Operator;
  const readers = names.map((header): ((entry: Entry) => unknown) => {
    if (!header.startsWith(':')) {
      // Sluice's request.path is already the original path.
      if (header === 'x-envoy-original-path') return () => undefined;
      needs(map.field, map.expression);
      return ({ input }) => (input[map.field] as Readonly<Record<string, unknown>> | null | undefined)?.[header];
    }
    const pseudo = name === 'REQ' ? PSEUDO_HEADERS.get(header) : undefined;
    if (pseudo === undefined)
      throw new Error(
        `${operator}: ${header} is no header of this kind; known are ${[...PSEUDO_HEADERS.keys()].join(', ')} of REQ`,
      );
    needs(pseudo.field, pseudo.expression);
    return ({ input }) => input[pseudo.field];
  });
  return (entry) => {
    for (const read of readers) {
      const value = read(entry);
      if (value !== undefined && value !== null) return shown(value, 'text');
    }
    return ABSENT;
  };
}

/** Throws if a rule lacks a field that the template reads. */
export function checkFields({ fields }: Template, input: Readonly<Record<string, unknown>>): void {
  const missing = [...fields].filter(([field]) => !Object.hasOwn(input, field));
  if (missing.length === 0) return;
  const [[, { operator }] = ['', { operator: '' }]] = missing;
  const more = missing.map(([field, { expression }]) => `${field}: '${expression}'`).join(', ');
  throw new Error(
    `the template reads fields that the rule does not have (${operator} and others); add to its input: { ${more} }`,
  );
}

function shown(value: unknown, rendering: Rendering): string {
  if (value === undefined || value === null) return ABSENT;
  if (rendering === 'milliseconds') return String(millisecondsOf(value) ?? ABSENT);
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'string') return value === '' ? ABSENT : escaped(value);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return escaped(Array.isArray(value) ? value.map(String).join(',') : reportJson(value));
}

/** A duration is text like `1.5s`. */
function millisecondsOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Math.trunc(value);
  const [, seconds] = typeof value === 'string' ? (/^(-?\d+(?:\.\d+)?)s$/.exec(value) ?? []) : [];
  return seconds === undefined ? undefined : Math.trunc(Math.round(Number(seconds) * 1e6) / 1e3);
}

function timeOf(value: unknown): Date | undefined {
  if (value instanceof Date) return value;
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : new Date(ms);
}

const escaped = (text: string): string =>
  text.replace(UNSAFE, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    const code = character.charCodeAt(0);
    return code > 0xff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\x${code.toString(16).padStart(2, '0')}`;
  });

/** To so many characters, without half a surrogate pair. */
const truncated = (text: string, length: number): string => {
  const cut = text.slice(0, length);
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
};
