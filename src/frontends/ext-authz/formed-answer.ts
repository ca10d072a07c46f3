/**
 * The answer to an allowed check whose header texts are not put together.
 * **In**: the form of its changes, its values, its id. **Out**: the CheckResponse, octet by octet that of check-answer.ts.
 * **Fails**: with `undefined` if a text is not printable ASCII, or the answer is long; its texts are then put together.
 *
 * What does not vary is encoded once for each form. An answer is written from its end to its beginning: the length of a message is known
 * when it is written, and nothing moves to make room for it.
 */
import { Buffer } from 'node:buffer'; // `globalThis.Buffer` is a getter; a local reference is faster on the hot path
import type { ChangesForm, FormedHeader, FormedHeaders, Verdict } from '../../core/call.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
import { writeVerdictMetadata } from '../verdict-metadata.ts';
import { OK, RESPONSE } from './check-fields.ts';
import { mayChange, OVERWRITE_FIELDS, removedHeaders, writeOverwrites } from './header-options.ts';

/** Longer answers are left to check-answer.ts. */
const MAX_BYTES = 1024;
/** Up to this length a loop is faster than a builtin. */
const FEW_BYTES = 24;
const LEN = 2;
const OK_TAG = (RESPONSE.ok << 3) | LEN;
/** Of a HeaderValueOption: its header. Of a HeaderValue: its value. */
const HEADER_TAG = (1 << 3) | LEN;
const VALUE_TAG = (2 << 3) | LEN;
/** Status { code: 0 }. */
const OK_STATUS = new Uint8Array([(RESPONSE.status << 3) | LEN, 0]);
/** Tag and length of a message or a text that is shorter than {@link MAX_BYTES}. */
const PREFIX_BYTES = 3;

/** Fields of the OkHttpResponse that are the same in every answer, or a header whose value varies. */
interface Part {
  /** The fields; of a header that varies, its name. */
  readonly bytes: Uint8Array;
  /** Of the option of a header that varies, else 0. */
  readonly tag: number;
  readonly literals: readonly string[];
}

interface Template {
  readonly parts: readonly Part[];
  /** The fields after the OkHttpResponse, without the id at their end. */
  readonly tail: Uint8Array;
  readonly idLength: number;
  /** The most bytes of an answer without its values; Infinity if a literal is not printable ASCII. */
  readonly maxBytes: number;
}

const templates = new WeakMap<ChangesForm, Template>();
/** Consecutive calls mostly have the same form. */
let last: { readonly form: ChangesForm; readonly template: Template } | undefined;

/** The returned bytes are reused by the next call; copy them to keep them. */
export function formedAnswer(form: ChangesForm, values: readonly string[], verdict: Verdict): Uint8Array | undefined {
  if (last?.form !== form || last.template.idLength !== verdict.id.length)
    last = { form, template: templateFor(form, verdict) };
  return writeAnswer(last.template, values, verdict.id);
}

// ---------------------------------------------------------- templates

/** `verdict`: of an allowed call, which differs from others in its id alone. */
function templateFor(form: ChangesForm, verdict: Verdict): Template {
  let template = templates.get(form);
  if (template?.idLength !== verdict.id.length) templates.set(form, (template = newTemplate(form, verdict)));
  return template;
}

function newTemplate({ request, response }: ChangesForm, verdict: Verdict): Template {
  const parts = [
    ...headerParts(request, OK.headers),
    constantPart((writer) => {
      for (const name of removedHeaders(request)) writer.item(OK.headersToRemove, name);
    }),
    ...headerParts(response, OK.responseHeadersToAdd),
  ].filter(({ bytes }) => bytes.length > 0);
  const metadata = encoded((writer) => writeVerdictMetadata(writer, RESPONSE.dynamicMetadata, verdict));
  const isPrintable = parts.every(({ literals }) => literals.every((text) => /^[ -~]*$/.test(text)));
  return {
    parts,
    tail: metadata.subarray(0, metadata.length - verdict.id.length),
    idLength: verdict.id.length,
    maxBytes: isPrintable
      ? parts.reduce((sum, part) => sum + maxBytesOf(part), metadata.length + 2 * PREFIX_BYTES)
      : Infinity,
  };
}

const headerParts = ({ set }: FormedHeaders, field: number): readonly Part[] =>
  set.filter(({ name }) => mayChange(name)).map((header) => headerPart(header, field));

function headerPart({ name, literals }: FormedHeader, field: number): Part {
  if (literals.length === 1)
    return constantPart((writer) => writeOverwrites(writer, field, [[name, literals[0] ?? '']]));
  return { bytes: encoded((writer) => writer.text(1, name)), tag: (field << 3) | LEN, literals };
}

const constantPart = (write: (writer: ProtobufWriter) => void): Part => ({
  bytes: encoded(write),
  tag: 0,
  literals: [],
});

function encoded(write: (writer: ProtobufWriter) => void): Uint8Array {
  const writer = new ProtobufWriter();
  writer.start();
  write(writer);
  return new Uint8Array(writer.finish());
}

const maxBytesOf = ({ bytes, literals }: Part): number =>
  bytes.length + literals.join('').length + 3 * PREFIX_BYTES + OVERWRITE_FIELDS.length;

// ---------------------------------------------------------- answers

const memory = Buffer.allocUnsafeSlow(MAX_BYTES);
/** Views of the end of the memory by length; allocating a view takes longer than writing an answer. */
const views: (Uint8Array | undefined)[] = [];

function writeAnswer(
  { parts, tail, maxBytes }: Template,
  values: readonly string[],
  id: string,
): Uint8Array | undefined {
  let bytes = maxBytes;
  for (let at = 0; at < values.length; at++) bytes += (values[at] as string).length;
  if (bytes > MAX_BYTES) return undefined;
  const end = bytesBefore(textBefore(MAX_BYTES, id), tail);
  let at = end;
  let from = values.length;
  for (let index = parts.length - 1; index >= 0; index--) {
    const part = parts[index] as Part;
    if (part.tag === 0) at = bytesBefore(at, part.bytes);
    else {
      from -= part.literals.length - 1;
      at = headerBefore(at, part, values, from);
      if (at === NOT_PRINTABLE) return undefined;
    }
  }
  at = bytesBefore(prefixBefore(at, OK_TAG, end), OK_STATUS);
  const length = MAX_BYTES - at;
  return (views[length] ??= memory.subarray(at));
}

// Each writes before a position, and returns the position of its first octet.

const NOT_PRINTABLE = -1;

/** A HeaderValueOption; `from`: the index of its first value. */
function headerBefore(end: number, { bytes, tag, literals }: Part, values: readonly string[], from: number): number {
  const valueEnd = bytesBefore(end, OVERWRITE_FIELDS);
  let at = valueEnd;
  for (let literal = literals.length - 1; literal > 0; literal--) {
    at = valueBefore(textBefore(at, literals[literal] as string), values[from + literal - 1] as string);
    if (at === NOT_PRINTABLE) return NOT_PRINTABLE;
  }
  at = textBefore(at, literals[0] as string);
  if (at < valueEnd) at = prefixBefore(at, VALUE_TAG, valueEnd);
  return prefixBefore(prefixBefore(bytesBefore(at, bytes), HEADER_TAG, valueEnd), tag, end);
}

function bytesBefore(end: number, bytes: Uint8Array): number {
  const from = end - bytes.length;
  if (bytes.length > FEW_BYTES) memory.set(bytes, from);
  else for (let at = 0; at < bytes.length; at++) memory[from + at] = bytes[at] as number;
  return from;
}

function textBefore(end: number, text: string): number {
  const from = end - text.length;
  for (let at = 0; at < text.length; at++) memory[from + at] = text.charCodeAt(at);
  return from;
}

function valueBefore(end: number, text: string): number {
  const from = end - text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) return NOT_PRINTABLE;
    memory[from + at] = code;
  }
  return from;
}

/** Writes tag and length before the value at `from` to `end`; returns where the field begins. */
function prefixBefore(from: number, tag: number, end: number): number {
  const length = end - from;
  let at = from;
  if (length < 0x80) memory[--at] = length;
  else {
    memory[--at] = length >>> 7;
    memory[--at] = (length & 0x7f) | 0x80;
  }
  memory[--at] = tag;
  return at;
}
