import type { Attribute } from '../attributes.ts';
import type { RuleCall } from '../carrier.ts';
import type { Derive } from '../derive.ts';
import type { Type } from '../types.ts';

export type CarriedBy = Partial<Readonly<Record<RuleCall, string>>>;

export interface RowOptions {
  readonly always?: true;
  readonly secret?: true;
  readonly derive?: Derive;
  /** A context extension of the same name is the fallback; for attributes of type string only. */
  readonly extension?: true;
}

/** `carriedBy`: the field in Envoy's proto, or the attribute from which it is derived. */
export function row(
  name: string,
  type: Type,
  meaning: string,
  carriedBy: CarriedBy,
  options: RowOptions = {},
): Attribute {
  const { always = false, secret = false, derive, extension } = options;
  if (extension === true && type.kind !== 'string')
    throw new TypeError(`${name} is not a string; a context extension cannot carry it`);
  return Object.freeze({
    name,
    type,
    meaning,
    always,
    secret,
    carriedBy: {
      ...(extension === true ? onChecks(`context_extensions["${name}"]`) : {}),
      ...(isOfChecks(carriedBy) || extension === true ? { decision: OF_THE_CALL } : {}),
      ...carriedBy,
      // An interim entry is the same message as a final one.
      ...(carriedBy.log === undefined ? {} : { 'log-interim': carriedBy.log }),
      ...(carriedBy['tcp-log'] === undefined ? {} : { 'tcp-log-interim': carriedBy['tcp-log'] }),
    },
    source: {
      kind: 'built-in' as const,
      ...(derive === undefined ? {} : { derive }),
      ...(extension === undefined ? {} : { extension }),
    },
  });
}

/** A decision carries what the call that was decided carried. */
export const OF_THE_CALL = 'the call that was decided';
const isOfChecks = ({ http, tcp, authzen, limit }: CarriedBy): boolean =>
  (http ?? tcp ?? authzen ?? limit) !== undefined;

/** The same field in http and tcp calls. */
export const onChecks = (field: string): CarriedBy => ({ http: field, tcp: field });
export const onLogs = (field: string): CarriedBy => ({ log: field, 'tcp-log': field });
