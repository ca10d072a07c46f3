/**
 * The trace of a request: from custom tags, which have Envoy's own span, else from the headers of the caller.
 * **In**: a bag. **Out**: ids in lower-case hex; 64-bit trace ids are padded on the left. **Fails**: never; a malformed id is absent.
 */
import type { Attributes } from './attributes.ts';
import type { RequestBag } from './bag.ts';
import type { Value } from './values.ts';

/** Ids of one source only: those of a tag and a header may belong to different spans. */
interface Trace {
  readonly id: string | undefined;
  /** Envoy's span, which Envoy exports itself. */
  readonly span?: string | undefined;
  readonly parent?: string | undefined;
  readonly sampled?: boolean | undefined;
}

type Read = (name: string) => string | undefined;

/** `00-TRACE-PARENT-FLAGS` (W3C Trace Context); later versions may append fields. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED_FLAG = 0x01;
const ID = /^[0-9a-f]+$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Envoy writes its decision over the version digit of x-request-id: 9 sampled, a forced, b forced by the client; 4 is not traced. */
const TRACE_REASON_AT = 14;

function idOf(text: string | undefined, digits: 16 | 32): string | undefined {
  const id = text?.trim().toLowerCase();
  if (id === undefined || !ID.test(id) || /^0+$/.test(id)) return undefined;
  if (id.length === digits) return id;
  return digits === 32 && id.length === 16 ? id.padStart(32, '0') : undefined;
}

function ofTraceparent(text: string | undefined): Trace | undefined {
  const parts = TRACEPARENT.exec(text?.trim() ?? '');
  if (parts === null || parts[1] === 'ff' || (parts[1] === '00' && parts[5] !== undefined)) return undefined;
  const [id, parent] = [idOf(parts[2], 32), idOf(parts[3], 16)];
  if (id === undefined || parent === undefined) return undefined;
  return { id, parent, sampled: (Number.parseInt(parts[4] ?? '', 16) & SAMPLED_FLAG) !== 0 };
}

const B3_SAMPLED: Readonly<Record<string, boolean>> = { '1': true, d: true, true: true, '0': false, false: false };

/** `TRACE-SPAN[-SAMPLED[-PARENT]]`, or a decision only. */
function ofB3(text: string | undefined): Trace | undefined {
  const parts = text?.trim().toLowerCase().split('-') ?? [];
  if (parts.length === 1) {
    const sampled = B3_SAMPLED[parts[0] ?? ''];
    return sampled === undefined ? undefined : { id: undefined, sampled };
  }
  const [id, parent] = [idOf(parts[0], 32), idOf(parts[1], 16)];
  return id === undefined || parent === undefined ? undefined : { id, parent, sampled: B3_SAMPLED[parts[2] ?? ''] };
}

function ofB3Headers(header: Read): Trace | undefined {
  const sampled = header('x-b3-flags') === '1' ? true : B3_SAMPLED[header('x-b3-sampled')?.toLowerCase() ?? ''];
  const [id, parent] = [idOf(header('x-b3-traceid'), 32), idOf(header('x-b3-spanid'), 16)];
  if (id !== undefined && parent !== undefined) return { id, parent, sampled };
  return sampled === undefined ? undefined : { id: undefined, sampled };
}

function sampledByRequestId(id: string | undefined): boolean | undefined {
  const uuid = id?.toLowerCase();
  if (uuid === undefined || !UUID.test(uuid)) return undefined;
  const reason = uuid[TRACE_REASON_AT];
  if (reason === '9' || reason === 'a' || reason === 'b') return true;
  return reason === '4' ? false : undefined;
}

function traceOf(header: Read, tag: Read): Trace {
  const sent = ofTraceparent(header('traceparent')) ?? ofB3(header('b3')) ?? ofB3Headers(header);
  const sampled = sent?.sampled ?? sampledByRequestId(header('x-request-id'));
  const id = idOf(tag('trace_id'), 32);
  return id === undefined
    ? { id: sent?.id, parent: sent?.parent, sampled }
    : { id, span: idOf(tag('span_id'), 16), sampled };
}

/** One of the facts of a request's trace. */
export const traceFact =
  (fact: keyof Trace) =>
  (bag: RequestBag, _attributes: Attributes): Value | undefined =>
    traceOf(
      (name) => text(bag.wire.carried({ kind: 'header', name })),
      (name) => text(bag.wire.carried({ kind: 'customTag', name })),
    )[fact];

const text = (value: Value | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
