/** Mixer's functions and operators: signatures of `mixer/pkg/lang/ast/func.go`, meaning of `mixer/pkg/lang/externs.go`. */
import { RE2JS } from 're2js';
import { parseIp } from '../../../attributes/network.ts';
import { parseTimestamp } from '../../../attributes/time-text.ts';
import type { Value } from '../../../attributes/values.ts';
import { dnsProblem, emailProblem, uriProblem } from './names.ts';
import type { IstioType } from './tree.ts';
import { messageOf } from '../../../text/message-of.ts';

/** `T` is a type variable: one type for all its places in a signature. */
export type Parameter = IstioType | 'T';

export interface Signature {
  readonly result: Parameter;
  readonly params: readonly Parameter[];
  /** The type of a method's target. */
  readonly target?: IstioType;
  /** Throws an {@link EvaluationFailure}. Absent for operators, which compile.ts implements. */
  readonly run?: (...args: never[]) => Value;
}

/** The message is Mixer's. */
export class EvaluationFailure extends Error {}

function converted(text: string, problem: string | undefined, what: string): string {
  if (problem !== undefined) throw new EvaluationFailure(`error converting '${text}' to ${what}: '${problem}'`);
  return text;
}

function match(text: string, pattern: string): boolean {
  if (pattern.endsWith('*')) return text.startsWith(pattern.slice(0, -1));
  return pattern.startsWith('*') ? text.endsWith(pattern.slice(1)) : text === pattern;
}

function matches(pattern: string, text: string): boolean {
  try {
    return RE2JS.compile(pattern).test(text);
  } catch (error) {
    throw new EvaluationFailure(messageOf(error));
  }
}

const operators = (names: readonly string[], result: Parameter, params: readonly Parameter[]): [string, Signature][] =>
  names.map((name) => [name, { result, params }]);

export const SIGNATURES: ReadonlyMap<string, Signature> = new Map<string, Signature>([
  ...operators(['EQ', 'NEQ', 'LT', 'LEQ', 'GT', 'GEQ'], 'BOOL', ['T', 'T']),
  ...operators(['LOR', 'LAND'], 'BOOL', ['BOOL', 'BOOL']),
  ...operators(['OR', 'ADD'], 'T', ['T', 'T']),
  ['INDEX', { result: 'STRING', params: ['STRING_MAP', 'STRING'] }],
  ['conditional', { result: 'T', params: ['BOOL', 'T', 'T'] }],
  ['size', { result: 'INT64', params: ['STRING'] }],
  [
    'ip',
    {
      result: 'IP_ADDRESS',
      params: ['STRING'],
      run: (text: string) => {
        const ip = parseIp(text);
        if (ip === undefined) throw new EvaluationFailure(`could not convert ${text} to IP_ADDRESS`);
        return ip;
      },
    },
  ],
  [
    'timestamp',
    {
      result: 'TIMESTAMP',
      params: ['STRING'],
      run: (text: string) => {
        const time = /[tz]/.test(text) ? undefined : parseTimestamp(text); // Go takes no lower-case t or z
        if (time === undefined)
          throw new EvaluationFailure(
            `could not convert '${text}' to TIMESTAMP. expected format: '2006-01-02T15:04:05Z07:00'`,
          );
        return time;
      },
    },
  ],
  [
    'dnsName',
    { result: 'DNS_NAME', params: ['STRING'], run: (text: string) => converted(text, dnsProblem(text), 'dns name') },
  ],
  [
    'email',
    {
      result: 'EMAIL_ADDRESS',
      params: ['STRING'],
      run: (text: string) => converted(text, emailProblem(text), 'e-mail'),
    },
  ],
  [
    'uri',
    {
      result: 'URI',
      params: ['STRING'],
      run: (text: string) => {
        const problem = uriProblem(text);
        if (problem !== undefined) throw new EvaluationFailure(problem);
        return text;
      },
    },
  ],
  ['match', { result: 'BOOL', params: ['STRING', 'STRING'], run: match }],
  ['matches', { result: 'BOOL', params: ['STRING'], target: 'STRING', run: matches }],
  [
    'startsWith',
    {
      result: 'BOOL',
      params: ['STRING'],
      target: 'STRING',
      run: (text: string, part: string) => text.startsWith(part),
    },
  ],
  [
    'endsWith',
    { result: 'BOOL', params: ['STRING'], target: 'STRING', run: (text: string, part: string) => text.endsWith(part) },
  ],
  ['emptyStringMap', { result: 'STRING_MAP', params: [], run: () => new Map<string, string>() }],
  [
    'conditionalString',
    {
      result: 'STRING',
      params: ['BOOL', 'STRING', 'STRING'],
      run: (test: boolean, yes: string, no: string) => (test ? yes : no),
    },
  ],
  ['toLower', { result: 'STRING', params: ['STRING'], run: (text: string) => text.toLowerCase() }],
]);
