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
import type { NetHeaders } from '../../core/call.ts';
import { hasRepeats, type HeaderPair, inOneSpelling } from '../header-pairs.ts';
import type { ProtobufWriter } from '../../protobuf/writer.ts';

/** envoy.config.core.v3.HeaderValueOption, with an `append` (a BoolValue) that may be absent. */
export interface HeaderOption {
  readonly name: string;
  readonly value: string;
  readonly append: boolean | undefined;
  readonly action: typeof APPEND | typeof OVERWRITE;
}
/** Its HeaderAppendAction: APPEND_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS_OR_ADD. */
const APPEND = 0;
const OVERWRITE = 2;

export function writeHeaderOptions(writer: ProtobufWriter, field: number, options: readonly HeaderOption[]): void {
  for (const { name, value, append, action } of options) {
    const option = writer.begin(field);
    const header = writer.begin(1);
    writer.text(1, name);
    writer.text(2, value);
    writer.end(header);
    if (append !== undefined) {
      const wrapped = writer.begin(2);
      writer.bool(1, append);
      writer.end(wrapped);
    }
    writer.varint(3, action);
    writer.bool(4, true); // keep_empty_value
    writer.end(option);
  }
}

/** Each name once, and nothing appended: written without making options first. */
export function writeSettings(writer: ProtobufWriter, field: number, pairs: readonly HeaderPair[]): void {
  for (let at = 0; at < pairs.length; at++) {
    const [name, value] = pairs[at] as HeaderPair;
    if (!isOurs(name)) continue;
    const option = writer.begin(field);
    const header = writer.begin(1);
    writer.text(1, name);
    writer.text(2, value);
    writer.end(header);
    writer.encoded(SETTING);
    writer.end(option);
  }
}

/** append: false, append_action: OVERWRITE_IF_EXISTS_OR_ADD, keep_empty_value: true. */
const SETTING = new Uint8Array([0x12, 0, 0x18, 2, 0x20, 1]);

const setting = ([name, value]: HeaderPair): HeaderOption => ({ name, value, append: false, action: OVERWRITE });
const appending = ([name, value]: HeaderPair): HeaderOption => ({ name, value, append: true, action: APPEND });
/** A line of its own on newer Envoys; of a denial's headers on all. */
const adding = ([name, value]: HeaderPair): HeaderOption => ({ name, value, append: undefined, action: APPEND });

/** Envoy refuses changes of pseudo headers; Host decides about routing and is not ours to change. */
const isOurs = (name: string): boolean =>
  name !== '' && !name.startsWith(':') && (name.length !== 4 || name.toLowerCase() !== 'host');

/** For the request that goes on. `seen`: the headers that it has, as far as Envoy shows them. */
export function requestHeaders(
  { set, append }: NetHeaders,
  seen: ReadonlyMap<string, string> | undefined,
): readonly HeaderOption[] {
  if (set.length === 0 && append.length === 0) return NONE;
  const options: HeaderOption[] = [];
  const there = new Set<string>();
  for (const pair of inOneSpelling(set)) {
    const name = pair[0].toLowerCase();
    if (isOurs(name)) options.push(there.has(name) ? appending(pair) : setting(pair));
    there.add(name);
  }
  for (const pair of append) {
    const name = pair[0].toLowerCase();
    if (!isOurs(name)) continue;
    options.push(there.has(name) || seen?.has(name) === true ? appending(pair) : setting(pair));
    there.add(name);
  }
  return options;
}

const NONE: readonly HeaderOption[] = [];

export const removedHeaders = ({ remove }: NetHeaders): string[] => remove.filter(isOurs);

/**
 * For the response of a request that passes. Envoy adds first and sets then, whatever stands first, so several values that are set
 * are one value, joined by a comma. A set-cookie may not be joined to another: several are added to those of the upstream.
 */
export function responseHeaders({ set, append }: NetHeaders): readonly HeaderOption[] {
  if (set.length === 0 && append.length === 0) return NONE;
  const options: HeaderOption[] = [];
  if (hasRepeats(set)) setLists(options, set);
  else for (const pair of set) if (isOurs(pair[0])) options.push(setting(pair));
  for (const pair of append)
    if (isOurs(pair[0])) options.push(pair[0].toLowerCase() === 'set-cookie' ? adding(pair) : appending(pair));
  return options;
}

function setLists(options: HeaderOption[], pairs: readonly HeaderPair[]): void {
  for (const [name, values] of valuesByName(pairs)) {
    if (values.length === 1 || name.toLowerCase() !== 'set-cookie') options.push(setting([name, values.join(',')]));
    else for (const value of values) options.push(adding([name, value]));
  }
}

function valuesByName(pairs: readonly HeaderPair[]): ReadonlyMap<string, readonly string[]> {
  const byName = new Map<string, string[]>();
  for (const [name, value] of inOneSpelling(pairs)) {
    if (!isOurs(name)) continue;
    const values = byName.get(name);
    if (values === undefined) byName.set(name, [value]);
    else values.push(value);
  }
  return byName;
}

/** For the answer of a request that is denied: every value of a name (set-cookie) is kept, a line each. */
export function denialHeaders(headers: readonly HeaderPair[]): HeaderOption[] {
  const options: HeaderOption[] = [];
  const there = new Set<string>();
  for (const pair of inOneSpelling(headers)) {
    const name = pair[0].toLowerCase();
    if (isOurs(name)) options.push(there.has(name) ? adding(pair) : setting(pair));
    there.add(name);
  }
  return options;
}
