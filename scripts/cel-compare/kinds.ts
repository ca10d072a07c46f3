/** The kinds of expressions, their variables, literals and containers. */
import { VARIABLES } from './variables.ts';

export type Kind =
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'
  | 'ip'
  | 'cidr'
  | 'dyn'
  | 'type'
  | 'null'
  | 'ints'
  | 'uints'
  | 'doubles'
  | 'strings'
  | 'bools'
  | 'dyns'
  | 'lists'
  | 'map'
  | 'intKeys'
  | 'uintKeys'
  | 'boolKeys'
  | 'dynMap'
  | 'maybeInt'
  | 'maybeText';

export const NAMES: Readonly<Partial<Record<Kind, string>>> = {
  ints: 'list(int)',
  uints: 'list(uint)',
  doubles: 'list(double)',
  strings: 'list(string)',
  bools: 'list(bool)',
  dyns: 'list(dyn)',
  lists: 'list(list(int))',
  map: 'map(string, string)',
  intKeys: 'map(int, string)',
  uintKeys: 'map(uint, int)',
  boolKeys: 'map(bool, int)',
  dynMap: 'map(string, dyn)',
};
export const VARIABLES_OF = new Map<string, readonly string[]>();
for (const [name, type] of Object.entries(VARIABLES)) VARIABLES_OF.set(type, [...(VARIABLES_OF.get(type) ?? []), name]);

export const ANY: readonly Kind[] = [
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'timestamp',
  'duration',
  'ip',
  'cidr',
  'dyn',
  'type',
  'null',
  'ints',
  'uints',
  'doubles',
  'strings',
  'bools',
  'dyns',
  'lists',
  'map',
  'intKeys',
  'uintKeys',
  'boolKeys',
  'dynMap',
  'maybeInt',
  'maybeText',
];
export const ORDERED: readonly Kind[] = [
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'timestamp',
  'duration',
  'dyn',
];
export const NUMBERS: readonly Kind[] = ['int', 'uint', 'double'];
export const INT_LITERALS = [
  '0',
  '1',
  '2',
  '3',
  '7',
  '-1',
  '10',
  '64',
  '-64',
  '0x1f',
  '-0x1',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '0x7fffffffffffffff',
  '0x8000000000000000',
  '-0x8000000000000000',
  '00',
  '010',
  '9007199254740993',
  '0XfF',
  '1000000000000',
];
export const UINT_LITERALS = [
  '0u',
  '1u',
  '2U',
  '3u',
  '64u',
  '0xFFu',
  '18446744073709551615u',
  '18446744073709551616u',
  '0xffffffffffffffffu',
  '9223372036854775808u',
  '-1u',
  '9007199254740993u',
];
export const DOUBLE_LITERALS = [
  '0.0',
  '-0.0',
  '1.0',
  '1.5',
  '-2.5',
  '.5',
  '1e3',
  '1.5E-3',
  '1e309',
  '-1e309',
  '1e-400',
  '5e-324',
  '0.1',
  '9007199254740993.0',
  '9223372036854775807.0',
  '18446744073709551615.0',
  '1e21',
  '1e20',
  '123456789.0',
  '1e-7',
  '0.5',
  '2.5',
  '1.',
  '1.e3',
  '01.5',
  '3.0e+2',
];
export const GETTERS = [
  'getFullYear',
  'getMonth',
  'getDate',
  'getDayOfMonth',
  'getDayOfWeek',
  'getDayOfYear',
  'getHours',
  'getMinutes',
  'getSeconds',
  'getMilliseconds',
];
export const PIECES = [
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  '?',
  ':',
  '.',
  ',',
  '"',
  "'",
  '`',
  '\\',
  '-',
  '+',
  '!',
  '&&',
  '||',
  '==',
  ' in ',
  '0',
  '1',
  'u',
  'x',
  'e',
  'b',
  'r',
  '\n',
  '//c\n',
  '\t',
  '\u00a0',
  'é',
  '.?',
  '[?',
  'null',
  'true',
  'as',
  'package',
  'int',
  '@',
  '$',
  '#',
  '\u{1f600}',
  '__',
  '%',
  ' ',
  '=',
  '|',
  '&',
  'has(',
  '.map(',
  '.size()',
  '\f',
  '\v',
  '\ufeff',
];
export const WORDS = ['a', 'b', 'ab', '`x-user`', 'c'];

export const ELEMENTS = {
  ints: 'int',
  uints: 'uint',
  doubles: 'double',
  strings: 'string',
  bools: 'bool',
  dyns: 'dyn',
  lists: 'ints',
} as const;
export const ENTRIES = {
  map: ['string', 'string'],
  intKeys: ['int', 'string'],
  uintKeys: ['uint', 'int'],
  boolKeys: ['bool', 'int'],
  dynMap: ['string', 'dyn'],
} as const;
export const CONTAINERS: readonly (readonly [over: Kind, key: Kind, of: Kind])[] = [
  ...Object.entries(ELEMENTS).map(([over, of]) => [over as Kind, 'int' as Kind, of as Kind] as const),
  ...Object.entries(ENTRIES).map(([over, [key, of]]) => [over as Kind, key as Kind, of as Kind] as const),
];
