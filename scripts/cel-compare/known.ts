/** The differences that docs/expressions.md has, under "Beside cel-go". */
import type { Answer } from './answers.ts';

export interface Difference {
  readonly source: string;
  readonly our: Answer;
  readonly their: Answer;
  /** Ours if what is wrong with it fails when it is evaluated, and not before. */
  readonly ourUnchecked: Answer;
}

/** The name of the difference; `undefined` if it is none that is meant. */
export function knownDifference(difference: Difference): string | undefined {
  const { our, ourUnchecked } = difference;
  const isConstant = our.kind === 'refused' && /CONSTANT|OVERFLOW/.test(our.code ?? '');
  const known = KNOWN.find(
    ([, applies]) => applies(difference) || (isConstant && applies({ ...difference, our: ourUnchecked })),
  );
  return known?.[0];
}

type Known = readonly [name: string, applies: (difference: Difference) => boolean];

const reads =
  (pattern: RegExp): Known[1] =>
  ({ source }) =>
    pattern.test(source);
/** cel-go's message. */
const says =
  (pattern: RegExp): Known[1] =>
  ({ their }) =>
    their.kind !== 'value' && pattern.test(their.why);
const both =
  (...conditions: readonly Known[1][]): Known[1] =>
  (difference) =>
    conditions.every((applies) => applies(difference));
const weFail: Known[1] = ({ our }) => our.kind !== 'value';
const weRefuse =
  (pattern: RegExp): Known[1] =>
  ({ our }) =>
    our.kind === 'refused' && pattern.test(our.why);
const valuesWith =
  (pattern: RegExp): Known[1] =>
  ({ our, their }) =>
    our.kind === 'value' && their.kind === 'value' && pattern.test(their.text);

/** Overloads that cel-go does not find: its name of the function, and the types. */
const NO_OVERLOAD = /found no matching overload for '([^']+)' applied to '(.*?)'\s/g;
/** All that cel-go refuses it for is one of these. */
const wants =
  (overloads: readonly (readonly [name: RegExp, types: RegExp])[]): Known[1] =>
  ({ their }) => {
    if (their.kind !== 'refused') return false;
    const all = [...their.why.replaceAll('\n', ' ').matchAll(NO_OVERLOAD)];
    return (
      all.length > 0 &&
      all.every(([, one = '', of = '']) => overloads.some(([name, types]) => name.test(one) && types.test(of)))
    );
  };

const wholeOf = (answer: Answer): bigint =>
  BigInt((answer.kind === 'value' ? /int "(-?\d+)"/.exec(answer.text)?.[1] : undefined) ?? 0);

const KNOWN: readonly Known[] = [
  [
    'a malformed constant that is not evaluated',
    ({ our, their, ourUnchecked }) =>
      our.kind === 'refused' &&
      /CONSTANT|OVERFLOW/.test(our.code ?? '') &&
      their.kind === 'value' &&
      ourUnchecked.kind === 'value' &&
      ourUnchecked.text === their.text,
  ],
  ['offsets beyond a text', both(weFail, reads(/ndexOf\(/))],
  ['lastIndexOf at the end', reads(/lastIndexOf\(.*,/s)],
  ['milliseconds of a duration', reads(/getMilliseconds\(\)/)],
  [
    'overloads that only Sluice has',
    wants([
      [/^(_==_|_!=_|@in|_\[_\]|_\[\?_\])$/, /int|double|null/], // numbers of two types, null and any
      [/^(_\?_:_|_\+_)$/, /^/], // branches and lists of two types
      [/^-_$/, /duration/],
      [/^ip$/, /^\(net\.IP\)$/],
    ]),
  ],
  ['null where a value is needed', both(weRefuse(/null/), reads(/null/))],
  ['signs in pairs', reads(/--|!!|- -/)],
  ['keys of a map', weRefuse(/^a key of a map must be/)],
  ['a field of a map whose keys are no texts', weRefuse(/^the keys of this map are .*; found string/)],
  ['a key twice', ({ our, source }) => our.kind === 'failed' && source.includes('{')],
  ['an absent map', says(/no such attribute/)],
  ['fields of a value without fields', ({ our, source }) => our.kind === 'failed' && /has\(|\.\?|\[\?/.test(source)],
  ['a type in cel.bind', says(/reference to undefined type/)],
  [
    'parts of a long duration',
    both(reads(/get(Hours|Minutes|Seconds)\(/), ({ our, their }) => wholeOf(our) - wholeOf(their) === -1n),
  ],
  ['text of a double', both(reads(/string\(|%s/), valuesWith(/e\+\d\d|e-\d\d|-0/i))],
  ['text of a duration', both(reads(/string\(|%s/), valuesWith(/\ds/i))],
  ['text of a time', both(reads(/string\(|%s/), valuesWith(/\d[+-]\d\d:\d\d/))],
  ['a text of one of these within', both(reads(/string\s*\(/), valuesWith(/^/))],
  ['a text of one of these decoded', reads(/decode\(.*string\(/s)],
  ['%s of a double or a duration', both(reads(/format\(/), valuesWith(/string/))],
  ['the zero of times', both(reads(/ofNonZeroValue/), ({ our }) => our.kind === 'value' && /timestamp/.test(our.text))],
  ['text of bytes that are not UTF-8', valuesWith(/not UTF-8/)],
  ['line breaks of CR and LF', reads(/\r/)],
  ['IPv4-mapped addresses', says(/IPv4-mapped/)],
  ['IPv4-mapped addresses', reads(/isIP|isCIDR/)],
  ['uint() rounds toward zero', both(reads(/uint\(/), says(/unsigned integer overflow/))],
  ["bool('T'), bool('F')", both(weFail, reads(/bool\(/))],
  ["Go's numbers", both(weFail, reads(/double\(/))],
  ['time zones', both(weFail, reads(/get[A-Z]\w+\(/))],
  ['names of zones in any case', says(/unknown time zone/)],
  ['base64 with line breaks', both(weFail, reads(/base64\.decode\(/))],
  ['existsOne with one variable', says(/undeclared reference to 'existsOne'/)],
  [
    'arguments of format() are checked early',
    says(/error during formatting|arguments supplied to string.format|index \d+ out of range/),
  ],
  ['%d of a double', both(weFail, reads(/format\(/))],
  ['lower case t and z', both(reads(/timestamp\(/), says(/to 'google.protobuf.Timestamp'/))],
  ['a group twice in a pattern', weRefuse(/duplicate capture group/)],
  ['optional methods of null', weRefuse(/is a method of optional values/)],
  ["faults of cel-go's own", says(/internal error|invalid qualifier type|expected type 'optional_type\(_var/)],
  ['the data of time zones', reads(/[EM]\S*S\S*T/)],
  ['a dyn on one side', ({ our, their }) => our.kind === 'failed' && their.kind === 'refused'],
  [
    'a dyn on one side, not evaluated',
    both(
      says(/found no matching overload/),
      ({ our }) => our.kind === 'value' && /^(\[\]|\{\}|optional\(\))$/.test(our.text),
    ),
  ],
  ['the least int % -1', both(reads(/%/), says(/integer overflow/))],
  ['differences of times near 292 years', both(reads(/\b(timestamp|at|au)\b/), says(/integer overflow/))],
  ['exact comparison of numbers of two types', reads(/math\.(greatest|least)\(/)],
  ['durations beyond 292 years', both(reads(/duration\(/), says(/to 'google.protobuf.Duration'/))],
];
