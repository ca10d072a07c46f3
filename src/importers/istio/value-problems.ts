/**
 * Values that a field or a condition key does not take.
 * **In**: the field, a value. **Out**: why it is refused, to be said after the value; `undefined` if it is sound.
 */
import { parseCidr, parseIp } from '../../attributes/network.ts';

export const problemOf = (field: string, value: string): string | undefined => PROBLEMS[field]?.(value);

type Problem = (value: string) => string | undefined;
const address: Problem = (value) =>
  (value.includes('/') ? parseCidr(value) : parseIp(value)) === undefined
    ? 'is not an IP address or a CIDR range such as 10.0.0.0/8'
    : undefined;
const port: Problem = (value) =>
  /^\d{1,5}$/.test(value) && Number(value) <= 65535 ? undefined : 'is not a port from 0 to 65535';
const serviceAccount: Problem = (value) =>
  value.includes('*')
    ? 'has a wildcard, which a service account may not have'
    : value.split('/').length > 2 || value.startsWith('/') || value.endsWith('/')
      ? 'is not a service account: write NAME or NAMESPACE/NAME'
      : undefined;
/** Besides `{*}` and `{**}`, a template has no braces and no asterisks. */
const path: Problem = (value) => {
  if (!value.includes('{*}') && !value.includes('{**}')) return undefined;
  const segments = value.split('/');
  if (segments.some((segment) => /[{}*]/.test(segment) && segment !== '{*}' && segment !== '{**}'))
    return 'is not a path template: {*} and {**} stand for whole segments, beside which it has no braces and no *';
  const rest = segments.indexOf('{**}');
  return rest >= 0 && rest !== segments.length - 1
    ? 'is not a path template: {**} must be its last segment'
    : undefined;
};
const spiffe: Problem = (value) =>
  value.startsWith('spiffe://') ? 'never matches: a principal is written without spiffe://' : undefined;

const PROBLEMS: Readonly<Record<string, Problem>> = {
  ipBlocks: address,
  remoteIpBlocks: address,
  'source.ip': address,
  'remote.ip': address,
  'destination.ip': address,
  ports: port,
  'destination.port': port,
  serviceAccounts: serviceAccount,
  'source.serviceAccount': serviceAccount,
  paths: path,
  principals: spiffe,
  'source.principal': spiffe,
};
