/**
 * Header changes in a form that has the same effect in all versions of Envoy.
 *
 * Older versions read only the bool `append` of request headers and of a denial's headers (unset means *set*), and append only to a
 * header that is already present. Newer ones read `append` if it is present, else `append_action`, whose default *adds*; with
 * `append: true` they join values by a comma, without it they add a line.
 *
 * No form can append to a request header that the filter does not send (`allowed_headers`, `disallowed_headers`): it appears to be absent,
 * so it is set.
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
/** HeaderAppendAction: APPEND_IF_EXISTS_OR_ADD and OVERWRITE_IF_EXISTS_OR_ADD. */
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

/** For names that occur once, with nothing to append: writes without allocating options. */
export function writeOverwrites(writer: ProtobufWriter, field: number, pairs: readonly HeaderPair[]): void {
  for (let at = 0; at < pairs.length; at++) {
    const [name, value] = pairs[at] as HeaderPair;
    if (!mayChange(name)) continue;
    const option = writer.begin(field);
    const header = writer.begin(1);
    writer.text(1, name);
    writer.text(2, value);
    writer.end(header);
    writer.encoded(OVERWRITE_FIELDS);
    writer.end(option);
  }
}

/** append: false, append_action: OVERWRITE_IF_EXISTS_OR_ADD, keep_empty_value: true. */
export const OVERWRITE_FIELDS = new Uint8Array([0x12, 0, 0x18, 2, 0x20, 1]);

const setting = ([name, value]: HeaderPair): HeaderOption => ({ name, value, append: false, action: OVERWRITE });
const appending = ([name, value]: HeaderPair): HeaderOption => ({ name, value, append: true, action: APPEND });
/** A separate line: in newer Envoys, and in a denial in all. */
const adding = ([name, value]: HeaderPair): HeaderOption => ({ name, value, append: undefined, action: APPEND });

/** Envoy refuses changes of pseudo headers, and a change of Host would change routing. */
export const mayChange = (name: string): boolean =>
  name !== '' && !name.startsWith(':') && (name.length !== 4 || name.toLowerCase() !== 'host');

/** For the request to the upstream. `present`: its headers, as far as Envoy sends them. */
export function requestHeaders(
  { set, append }: NetHeaders,
  present: ReadonlyMap<string, string> | undefined,
): readonly HeaderOption[] {
  if (set.length === 0 && append.length === 0) return NONE;
  const options: HeaderOption[] = [];
  const written = new Set<string>();
  for (const pair of inOneSpelling(set)) {
    const name = pair[0].toLowerCase();
    if (mayChange(name)) options.push(written.has(name) ? appending(pair) : setting(pair));
    written.add(name);
  }
  for (const pair of append) {
    const name = pair[0].toLowerCase();
    if (!mayChange(name)) continue;
    options.push(written.has(name) || present?.has(name) === true ? appending(pair) : setting(pair));
    written.add(name);
  }
  return options;
}

const NONE: readonly HeaderOption[] = [];

export const removedHeaders = ({ remove }: Pick<NetHeaders, 'remove'>): string[] => remove.filter(mayChange);

/**
 * For the response to an allowed request. Envoy first adds and then sets, in whatever order they are sent, so several values to set are
 * joined by a comma. A set-cookie must not be joined; several are added to the upstream's.
 */
export function responseHeaders({ set, append }: NetHeaders): readonly HeaderOption[] {
  if (set.length === 0 && append.length === 0) return NONE;
  const options: HeaderOption[] = [];
  if (hasRepeats(set)) setLists(options, set);
  else for (const pair of set) if (mayChange(pair[0])) options.push(setting(pair));
  for (const pair of append)
    if (mayChange(pair[0])) options.push(pair[0].toLowerCase() === 'set-cookie' ? adding(pair) : appending(pair));
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
    if (!mayChange(name)) continue;
    const values = byName.get(name);
    if (values === undefined) byName.set(name, [value]);
    else values.push(value);
  }
  return byName;
}

/** For a denial: every value of a repeated name (set-cookie) is kept as a separate line. */
export function denialHeaders(headers: readonly HeaderPair[]): HeaderOption[] {
  const options: HeaderOption[] = [];
  const written = new Set<string>();
  for (const pair of inOneSpelling(headers)) {
    const name = pair[0].toLowerCase();
    if (mayChange(name)) options.push(written.has(name) ? adding(pair) : setting(pair));
    written.add(name);
  }
  return options;
}
