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
const trustDomain: Problem = (value) =>
  value.includes('/')
    ? 'is not a trust domain, which has no /'
    : /^.+\*.+$/.test(value) || /^\*.*\*$/.test(value)
      ? 'is not a pattern of trust domains: one * stands at the beginning or the end'
      : undefined;
/** Besides `{*}` and `{**}`, a template has no braces and no asterisks; Envoy takes no other, and no empty segment. */
const path: Problem = (value) => {
  if (!value.includes('{*}') && !value.includes('{**}')) return undefined;
  if (!value.startsWith('/') || value.includes('//'))
    return 'is not a path template: it begins with /, and has no empty segment';
  const segments = value.split('/');
  if (segments.some((segment) => /[{}*]/.test(segment) && segment !== '{*}' && segment !== '{**}'))
    return 'is not a path template: {*} and {**} stand for whole segments, beside which it has no braces and no *';
  if (segments.some((segment) => !/^[a-zA-Z0-9._~%!$&'()+,;:@={}*-]*$/.test(segment)))
    return "is not a path template: a path has letters, digits and -._~%!$&'()+,;:@= alone; write others as %20";
  const operators = segments.filter((segment) => segment === '{*}' || segment === '{**}');
  const rest = operators.indexOf('{**}');
  return rest >= 0 && rest !== operators.length - 1
    ? 'is not a path template: no {*} and no {**} may stand behind {**}'
    : undefined;
};
const spiffe: Problem = (value) =>
  value.startsWith('spiffe://') ? 'never matches: a principal is written without spiffe://' : undefined;

/**
 * Why a value that is taken probably does not mean what its writer meant; `undefined` without a doubt. As in Istio, an asterisk is a
 * wildcard at the beginning or at the end alone: a DENY of `/users/*\/keys` denies nothing.
 */
export function doubtOf(field: string, value: string): string | undefined {
  return formDoubt(field, value) ?? wildcardDoubt(field, value);
}

/** Of a value that no request has. */
function formDoubt(field: string, value: string): string | undefined {
  if (field === 'paths' && !/^[/*{]/.test(value)) return 'never matches: a path begins with /';
  if (field === 'paths' && /[?#]/.test(value)) return 'never matches: a path is compared without its query';
  if (field === 'methods' && /^[a-z]+$/.test(value))
    return `never matches: methods have case; write ${value.toUpperCase()}`;
  if (field.startsWith('request.headers[') && /^[\d.]+\/\d+$/.test(value))
    return 'is compared as text with the header; for a range of addresses write remoteIpBlocks';
  return undefined;
}

function wildcardDoubt(field: string, value: string): string | undefined {
  if (!PATTERNS.has(field)) return undefined;
  const isPath = field === 'paths';
  const isTemplate = isPath && value.includes('{*');
  const literal = value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value;
  if (isTemplate || !/[*{}]/.test(literal)) return undefined;
  return literal.includes('*')
    ? `has a * that is a character, not a wildcard; a wildcard stands at the beginning or the end${isPath ? ', or write {*} for one segment' : ''}`
    : isPath
      ? 'has braces that are characters; write {*} for one segment, {**} for any'
      : undefined;
}
/** Fields in which an asterisk or a brace is hardly a character of its own. */
const PATTERNS: ReadonlySet<string> = new Set(['paths', 'hosts', 'methods', 'principals', 'source.principal']);

const PROBLEMS: Readonly<Record<string, Problem>> = {
  ipBlocks: address,
  remoteIpBlocks: address,
  'source.ip': address,
  'remote.ip': address,
  'destination.ip': address,
  ports: port,
  'destination.port': port,
  trustDomains: trustDomain,
  'source.trustDomain': trustDomain,
  serviceAccounts: serviceAccount,
  'source.serviceAccount': serviceAccount,
  paths: path,
  principals: spiffe,
  'source.principal': spiffe,
};
