/** Calls a frontend's methods as the transport does. */
import { Attributes, DEFAULT_ATTRIBUTE_SETTINGS } from '../../../src/attributes/attributes.ts';
import { RequestBag, type Wire } from '../../../src/attributes/bag.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import type { CallContext, Method } from '../../../src/transport/transport.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';

export const CONTEXT: CallContext = {
  remainingMs: 100,
  arrivedAtMs: 0,
  signal: new AbortController().signal,
  draining: new AbortController().signal,
  ending: new AbortController().signal,
  metadata: () => undefined,
  peer: '127.0.0.1:1',
};

const ATTRIBUTES = new Attributes(VOCABULARY, {
  ...DEFAULT_ATTRIBUTE_SETTINGS,
  trustedHops: 0,
  trustedCertificateHops: 0,
});
const bagOf = (wire: Wire): RequestBag => new RequestBag(ATTRIBUTES, wire);
export const readerOf = (wire: Wire): ((name: string) => Value | undefined) => {
  const bag = bagOf(wire);
  return (name) => {
    const slot = ATTRIBUTES.slotOf(name);
    if (slot === undefined) throw new Error(`no attribute is named ${name}`);
    return bag.get(slot);
  };
};

export function unary([entry]: [path: string, method: Method][]): (
  request: Uint8Array,
) => Uint8Array | Promise<Uint8Array> {
  if (entry?.[1].kind !== 'unary') throw new Error('no unary method');
  const { handle } = entry[1];
  return (request) => handle(rangeOf(request), CONTEXT);
}

export function stream([entry]: [path: string, method: Method][]): (
  messages: AsyncIterable<Uint8Array>,
) => AsyncIterable<Uint8Array> {
  if (entry?.[1].kind !== 'stream') throw new Error('no stream method');
  const { handle } = entry[1];
  return (messages) => handle(messages, CONTEXT);
}
