/**
 * Header changes in a form that Envoys of all versions take alike.
 *
 * The trap: older Envoys read only the bool `append` of request headers and of a denial's headers (unset is *set*), and
 * append only to a header that is there already; newer ones take `append` where it is present, else `append_action`,
 * whose default *adds*. With `append: true` newer Envoys join values by a comma, without it they add a line.
 *
 * What no form can say: appending to a request header which the filter is told not to show us (`allowed_headers`,
 * `disallowed_headers`). We take it for absent, and set it.
 */
import { create } from '@bufbuild/protobuf';
import type { NetHeaders } from '../../core/call.ts';
import {
  type HeaderValueOption, HeaderValueOption_HeaderAppendAction as AppendAction, HeaderValueOptionSchema,
} from '../generated/envoy/config/core/v3/base_pb.ts';

type Pair = readonly [name: string, value: string];

const setting = ([key, value]: Pair): HeaderValueOption =>
  create(HeaderValueOptionSchema, { header: { key, value }, append: false, appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD, keepEmptyValue: true });
const appending = ([key, value]: Pair): HeaderValueOption =>
  create(HeaderValueOptionSchema, { header: { key, value }, append: true, appendAction: AppendAction.APPEND_IF_EXISTS_OR_ADD, keepEmptyValue: true });
/** A line of its own on newer Envoys; of a denial's headers on all. */
const adding = ([key, value]: Pair): HeaderValueOption =>
  create(HeaderValueOptionSchema, { header: { key, value }, appendAction: AppendAction.APPEND_IF_EXISTS_OR_ADD, keepEmptyValue: true });

/** Envoy refuses changes of pseudo headers; Host decides about routing and is not ours to change. */
const isOurs = (name: string): boolean => name !== '' && !name.startsWith(':') && name.toLowerCase() !== 'host';

/** For the request that goes on. `seen`: the headers that it has, as far as Envoy shows them. */
export function requestHeaders({ set, append }: NetHeaders, seen: ReadonlyMap<string, string> | undefined): HeaderValueOption[] {
  const options: HeaderValueOption[] = [];
  const there = new Set<string>();
  for (const pair of set) if (isOurs(pair[0])) options.push(setting(pair));
  for (const pair of append) {
    const name = pair[0].toLowerCase();
    if (!isOurs(name)) continue;
    options.push(there.has(name) || seen?.has(name) === true ? appending(pair) : setting(pair));
    there.add(name);
  }
  return options;
}

export const removedHeaders = ({ remove }: NetHeaders): string[] => remove.filter(isOurs);

/** For the response of a request that passes. A set-cookie may not be joined to another. */
export function responseHeaders({ set, append }: NetHeaders): HeaderValueOption[] {
  const options: HeaderValueOption[] = [];
  const there = new Set<string>();
  for (const pair of set) {
    const name = pair[0].toLowerCase();
    if (isOurs(name)) options.push(there.has(name) ? adding(pair) : setting(pair));
    there.add(name);
  }
  for (const pair of append) if (isOurs(pair[0])) options.push(pair[0].toLowerCase() === 'set-cookie' ? adding(pair) : appending(pair));
  return options;
}

/** For the answer of a request that is denied: of a repeated name (set-cookie) all are kept. */
export function denialHeaders(headers: readonly Pair[]): HeaderValueOption[] {
  const options: HeaderValueOption[] = [];
  const there = new Set<string>();
  for (const pair of headers) {
    const name = pair[0].toLowerCase();
    if (isOurs(name)) options.push(there.has(name) ? adding(pair) : setting(pair));
    there.add(name);
  }
  return options;
}
