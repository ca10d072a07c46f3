/** The variables of the expressions, and random values of them. */
import type { Random } from './random.ts';
import { anyText, textOfKind } from './texts.ts';
import type { Json } from './values.ts';

/** Types by name, as both sides write them. */
export const VARIABLES = {
  p: 'bool',
  q: 'bool',
  i: 'int',
  j: 'int',
  u: 'uint',
  v: 'uint',
  x: 'double',
  y: 'double',
  s: 'string',
  t: 'string',
  bs: 'bytes',
  bt: 'bytes',
  at: 'timestamp',
  au: 'timestamp',
  sp: 'duration',
  sq: 'duration',
  ad: 'ip',
  ae: 'ip',
  ra: 'cidr',
  li: 'list(int)',
  lu: 'list(uint)',
  lx: 'list(double)',
  ls: 'list(string)',
  lb: 'list(bool)',
  ld: 'list(dyn)',
  ll: 'list(list(int))',
  ms: 'map(string, string)',
  mi: 'map(int, string)',
  mu: 'map(uint, int)',
  mb: 'map(bool, int)',
  md: 'map(string, dyn)',
  dy: 'dyn',
  dz: 'dyn',
} as const;

const INTS = [
  '0',
  '1',
  '-1',
  '2',
  '3',
  '7',
  '-5',
  '9223372036854775807',
  '-9223372036854775808',
  '9007199254740992',
  '9007199254740993',
  '-9007199254740993',
  '4294967296',
  '63',
  '64',
  '-9223372036854775807',
  '4611686018427387904',
  '3037000500',
  '253402300799',
  '253402300800',
  '-62135596800',
  '-62135596801',
] as const;
const UINTS = [
  '0',
  '1',
  '2',
  '3',
  '7',
  '18446744073709551615',
  '9223372036854775808',
  '9223372036854775807',
  '9007199254740993',
  '4294967296',
  '63',
  '64',
  '9007199254740992',
] as const;
const DOUBLES = [
  'NaN',
  '7ff0000000000000',
  'fff0000000000000',
  '0000000000000000',
  '8000000000000000',
  '3ff0000000000000',
  'bff0000000000000',
  '3ff8000000000000',
  'bfe0000000000000',
  '3fb999999999999a',
  '43e0000000000000',
  'c3e0000000000000',
  '43f0000000000000',
  '4340000000000000',
  '4340000000000001',
  '0000000000000001',
  '7fefffffffffffff',
  '3fe0000000000000',
  '4004000000000000',
  '412e848000000000',
  '4132d68700000000',
  '444b1ae4d6e2ef50',
  '43dfffffffffffff',
  '3e7ad7f29abcaf48',
  'c3e0000000000001',
  '419d6f3454000000',
  '4000000000000000',
  '4008000000000000',
  'bff8000000000000',
  '400c000000000000',
] as const;
const SECONDS = [
  0, 1, -1, 1_700_000_000, -62_135_596_800, 253_402_300_799, 1_679_794_200, 1_698_541_199, -2_717_650_800, 951_827_696,
  -59_011_459_201, 68_169_600, 1_709_251_199,
] as const;
const NANOS = [0, 0, 1, 999_999_999, 500_000_000, 123_456_789, 567_000_000] as const;
const SPANS = [
  '0',
  '1',
  '-1',
  '1000000000',
  '-1500000000',
  '3600000000000',
  '5400000000000',
  '9223372036854775807',
  '-9223372036854775807',
  '123456789',
  '9007199254740993000',
  '1234000000',
  '-1234567890',
  '86400000000000',
  '999999999',
  '100000000',
] as const;
const IPS = [
  '10.0.0.1',
  '127.0.0.1',
  '::1',
  '2001:db8::1',
  'fe80::1',
  '224.0.0.1',
  '0.0.0.0',
  '::',
  '169.254.1.1',
  'ff02::1',
  '255.255.255.255',
  '192.168.1.1',
  '10.1.2.3',
] as const;
const RANGES = [
  '10.0.0.0/8',
  '10.1.2.3/8',
  '0.0.0.0/0',
  '::/0',
  '2001:db8::/32',
  '10.0.0.1/32',
  '192.168.0.0/16',
  '2001:db8:0:1::1/64',
] as const;

export function randomValue(random: Random, type: string): Json {
  const inner = /^\w+\((.*)\)$/.exec(type)?.[1] ?? '';
  switch (type.replace(/\(.*/, '')) {
    case 'bool':
      return ['bool', random.is(0.5)];
    case 'int':
      return ['int', random.of(INTS)];
    case 'uint':
      return ['uint', random.of(UINTS)];
    case 'double':
      return ['double', random.of(DOUBLES)];
    case 'string':
      return ['string', anyText(random)];
    case 'bytes':
      return ['bytes', bytesOf(random).toString('base64')];
    case 'timestamp':
      return ['timestamp', String(random.of(SECONDS)), random.of(NANOS)];
    case 'duration':
      return ['duration', random.of(SPANS)];
    case 'ip':
      return ['ip', random.of(IPS)];
    case 'cidr':
      return ['cidr', random.of(RANGES)];
    case 'list':
      return ['list', random.some(4, () => randomValue(random, inner))];
    case 'map': {
      const [key = '', of = ''] = inner.split(', ');
      const entries = new Map(
        random.some(4, () => randomValue(random, key === 'string' ? 'key' : key)).map((one) => [String(one[1]), one]),
      );
      return ['map', Array.from(entries.values(), (one) => [one, randomValue(random, of)])];
    }
    case 'key':
      return ['string', random.of(['a', 'b', 'ab', '', 'x-user', 'é', textOfKind(random, 'plain')])];
    default:
      return random.is(0.1) ? ['null'] : randomValue(random, random.of(DYNAMIC));
  }
}

const DYNAMIC = [
  'bool',
  'int',
  'int',
  'uint',
  'double',
  'double',
  'string',
  'bytes',
  'timestamp',
  'duration',
  'list(int)',
  'list(dyn)',
  'map(string, int)',
  'map(int, string)',
  'list(string)',
] as const;

const bytesOf = (random: Random): Buffer =>
  random.is(0.5)
    ? Buffer.from(anyText(random))
    : Buffer.from(random.some(4, () => random.of([0, 1, 0x41, 0x7f, 0x80, 0xc3, 0xa9, 0xed, 0xa0, 0xff])));

/** Some variables are absent. */
export const randomBag = (random: Random): Readonly<Record<string, Json>> =>
  Object.fromEntries(
    Object.entries(VARIABLES)
      .filter(() => !random.is(0.04))
      .map(([name, type]) => [name, randomValue(random, type)]),
  );
