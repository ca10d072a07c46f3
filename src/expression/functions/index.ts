/** The functions by name: all but the operators, the macros and the generic ones (generic.ts). */
import { CONVERSIONS } from './conversions.ts';
import { ENCODERS } from './encoders.ts';
import { FORMAT_FUNCTIONS } from './format.ts';
import { MATH_FUNCTIONS } from './math.ts';
import { NETWORK_FUNCTIONS } from './network.ts';
import { PATTERN_FUNCTIONS } from './regex/matches.ts';
import type { Overload } from './overload.ts';
import { TEXT_FUNCTIONS } from './text.ts';
import { TIME_FUNCTIONS } from './time.ts';

export type { Overload } from './overload.ts';

const byName = new Map<string, Overload[]>();
for (const overload of [
  ...TEXT_FUNCTIONS,
  ...PATTERN_FUNCTIONS,
  ...CONVERSIONS,
  ...TIME_FUNCTIONS,
  ...NETWORK_FUNCTIONS,
  ...MATH_FUNCTIONS,
  ...ENCODERS,
  ...FORMAT_FUNCTIONS,
]) {
  const known = byName.get(overload.name);
  if (known === undefined) byName.set(overload.name, [overload]);
  else known.push(overload);
}

export const overloadsOf = (name: string, isMethod: boolean): readonly Overload[] =>
  (byName.get(name) ?? []).filter(({ method }) => method === isMethod);
export const hasFunction = (name: string): boolean => byName.has(name);
export const functionNames = (): readonly string[] => [
  ...byName.keys(),
  'has',
  'size',
  'dyn',
  'exists',
  'all',
  'map',
  'filter',
  'orValue',
  'hasValue',
  'optMap',
  'optFlatMap',
  'transformList',
  'transformMap',
  'transformMapEntry',
  'existsOne',
  'math.greatest',
  'math.least',
  'cel.bind',
];
