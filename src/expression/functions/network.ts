/** IP addresses and ranges (cel-spec, network extension). */
import { Cidr, Ip, parseCidr, parseIp } from '../../attributes/network.ts';
import { BOOL, CIDR, INT, IP, STRING } from '../../attributes/types.ts';
import { type Overload, fn, method } from './overload.ts';

const isIn = (ip: Ip, ...ranges: readonly string[]): boolean =>
  ranges.some((range) => parseCidr(range)?.containsIp(ip) === true);
const LOOPBACK = ['127.0.0.0/8', '::1/128'];
const ip = (text: string): Ip | undefined => parseIp(text);
const cidr = (text: string): Cidr | undefined => parseCidr(text);
const constantIp: Partial<Overload> = {
  checkConstant: ([text]) =>
    typeof text === 'string' && ip(text) === undefined ? `${JSON.stringify(text)} is not an IP address` : undefined,
};
const constantCidr: Partial<Overload> = {
  checkConstant: ([text]) =>
    typeof text === 'string' && cidr(text) === undefined
      ? `${JSON.stringify(text)} is not a CIDR range, such as "10.0.0.0/8"`
      : undefined,
};
const secondIp: Partial<Overload> = {
  checkConstant: ([, text]) =>
    typeof text === 'string' && ip(text) === undefined ? `${JSON.stringify(text)} is not an IP address` : undefined,
};

export const NETWORK_FUNCTIONS: readonly Overload[] = [
  fn('ip', [STRING], IP, ip, constantIp),
  fn('ip', [IP], IP, (value: Ip) => value),
  fn('cidr', [STRING], CIDR, cidr, constantCidr),
  fn('isIP', [STRING], BOOL, (text: string) => ip(text) !== undefined),
  fn('isCIDR', [STRING], BOOL, (text: string) => cidr(text) !== undefined),
  method('isCanonical', [STRING], BOOL, (text: string) => ip(text)?.toString() === text),
  fn('ip.isCanonical', [STRING], BOOL, (text: string) => {
    const value = ip(text);
    return value === undefined ? undefined : value.toString() === text;
  }),
  method('family', [IP], INT, (value: Ip) => value.family),
  method('isUnspecified', [IP], BOOL, (value: Ip) => value.bytes.every((byte) => byte === 0)),
  method('isLoopback', [IP], BOOL, (value: Ip) => isIn(value, ...LOOPBACK)),
  method(
    'isGlobalUnicast',
    [IP],
    BOOL,
    (value: Ip) =>
      !value.bytes.every((byte) => byte === 0) &&
      value.toString() !== '255.255.255.255' &&
      !isIn(value, ...LOOPBACK, '224.0.0.0/4', 'ff00::/8', '169.254.0.0/16', 'fe80::/10'),
  ),
  method(
    'isLinkLocalMulticast',
    [IP],
    BOOL,
    (value: Ip) =>
      isIn(value, '224.0.0.0/24') ||
      (value.family === 6 && value.bytes[0] === 0xff && ((value.bytes[1] ?? 0) & 0x0f) === 2),
  ),
  method('isLinkLocalUnicast', [IP], BOOL, (value: Ip) => isIn(value, '169.254.0.0/16', 'fe80::/10')),
  method('containsIP', [CIDR, IP], BOOL, (range: Cidr, value: Ip) => range.containsIp(value)),
  method(
    'containsIP',
    [CIDR, STRING],
    BOOL,
    (range: Cidr, text: string) => {
      const value = ip(text);
      return value === undefined ? undefined : range.containsIp(value);
    },
    secondIp,
  ),
  method('containsCIDR', [CIDR, CIDR], BOOL, (range: Cidr, other: Cidr) => range.containsCidr(other)),
  method('containsCIDR', [CIDR, STRING], BOOL, (range: Cidr, text: string) => {
    const other = cidr(text);
    return other === undefined ? undefined : range.containsCidr(other);
  }),
  method('ip', [CIDR], IP, (range: Cidr) => range.address),
  method('masked', [CIDR], CIDR, (range: Cidr) => range.masked()),
  method('prefixLength', [CIDR], INT, (range: Cidr) => range.prefixLength),
];
