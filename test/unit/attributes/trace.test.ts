import { describe, expect, test } from 'vitest';
import { Attributes, DEFAULT_ATTRIBUTE_SETTINGS } from '../../../src/attributes/attributes.ts';
import { RequestBag } from '../../../src/attributes/bag.ts';
import { plainWire } from '../../../src/attributes/plain-wire.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';

const ATTRIBUTES = new Attributes(VOCABULARY, {
  ...DEFAULT_ATTRIBUTE_SETTINGS,
  trustedHops: 0,
});

function traceOf(
  headers: Readonly<Record<string, string>>,
  customTag: Readonly<Record<string, string>> = {},
): unknown[] {
  const bag = new RequestBag(ATTRIBUTES, plainWire(ATTRIBUTES, { 'request.headers': headers }, { customTag }, 'log'));
  return ['trace.id', 'trace.span_id', 'trace.parent_span_id', 'trace.sampled'].map((name) =>
    bag.get(ATTRIBUTES.slotOf(name) ?? -1),
  );
}

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const SHORT = 'a3ce929d0e0e4736';
const PADDED = `0000000000000000${SHORT}`;
const NONE = [undefined, undefined, undefined, undefined];
/** With the digit at which Envoy writes its decision. */
const requestId = (mark: string): string => `b6e4f5a0-1c2d-${mark}a3b-8c4d-5e6f70818293`;

describe('the trace of a request', () => {
  test.each([
    [{ traceparent: `00-${ID}-${SPAN}-01` }, [ID, undefined, SPAN, true]],
    [{ traceparent: `00-${ID}-${SPAN}-02` }, [ID, undefined, SPAN, false]],
    [{ traceparent: `cc-${ID}-${SPAN}-01-later` }, [ID, undefined, SPAN, true]],
    [{ b3: `${ID}-${SPAN}-1-${SHORT}` }, [ID, undefined, SPAN, true]],
    [{ b3: `${SHORT}-${SPAN}-d` }, [PADDED, undefined, SPAN, true]],
    [{ b3: `${ID.toUpperCase()}-${SPAN}` }, [ID, undefined, SPAN, undefined]],
    [{ b3: '0' }, [undefined, undefined, undefined, false]],
    [{ 'x-b3-traceid': SHORT, 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' }, [PADDED, undefined, SPAN, true]],
    [{ 'x-b3-traceid': ID, 'x-b3-spanid': SPAN, 'x-b3-sampled': '0', 'x-b3-flags': '1' }, [ID, undefined, SPAN, true]],
    [{ 'x-b3-sampled': '0' }, [undefined, undefined, undefined, false]],
    [{ traceparent: 'broken', b3: `${ID}-${SPAN}-0` }, [ID, undefined, SPAN, false]],
  ])('headers %j', (headers, expected) => {
    expect(traceOf(headers)).toEqual(expected);
  });

  test.each([
    { traceparent: `00-${'0'.repeat(32)}-${SPAN}-01` },
    { traceparent: `00-${ID}-${'0'.repeat(16)}-01` },
    { traceparent: `ff-${ID}-${SPAN}-01` },
    { traceparent: `00-${ID}-${SPAN}-01-more` },
    { b3: `${ID}-` },
    { b3: `${ID.slice(1)}-${SPAN}-1` },
    { 'x-b3-traceid': ID },
  ])('malformed headers %j are absent', (headers) => {
    expect(traceOf(headers)).toEqual(NONE);
  });

  test("tags have Envoy's own span, and no parent is taken from the header, which may have either span", () => {
    const headers = { traceparent: `00-${'f'.repeat(32)}-${'e'.repeat(16)}-01` };
    expect(traceOf(headers, { trace_id: ID, span_id: SPAN })).toEqual([ID, SPAN, undefined, true]);
    expect(traceOf({}, { trace_id: SHORT, span_id: SPAN })).toEqual([PADDED, SPAN, undefined, undefined]);
  });

  test('tags of a request that Envoy does not trace give way to the header', () => {
    expect(traceOf({ traceparent: `00-${ID}-${SPAN}-01` }, { trace_id: '-', span_id: '-' })).toEqual([
      ID,
      undefined,
      SPAN,
      true,
    ]);
  });

  test.each([
    ['9', true],
    ['a', true],
    ['b', true],
    ['4', false],
    ['1', undefined],
  ])("without a header, Envoy's mark %s in x-request-id decides whether it is sampled", (mark, sampled) => {
    expect(traceOf({ 'x-request-id': requestId(mark) })).toEqual([undefined, undefined, undefined, sampled]);
  });
});
