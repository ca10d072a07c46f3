/** Requests of the state of the world, whose names are decoded only where they differ from those of the last request. */
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { DiscoveryRequestSchema } from '../../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { Malformed } from '../../../src/protobuf/malformed.ts';
import { readPlainRequest } from '../../../src/xds/plain-request.ts';
import { ENDPOINTS } from '../../../src/xds/type-urls.ts';

const FIELDS = {
  versionInfo: '1',
  node: { id: 'a', cluster: 'b' },
  typeUrl: ENDPOINTS,
  responseNonce: '7',
  errorDetail: { code: 3, message: 'why' },
};
const request = (resourceNames: readonly string[]): Uint8Array =>
  toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, { ...FIELDS, resourceNames: [...resourceNames] }));

test('a request has its fields, and its names', () => {
  for (const names of [[], ['a'], ['a', 'b', 'é'.repeat(200)]]) {
    const read = readPlainRequest(request(names));
    expect(read).toMatchObject(FIELDS);
    expect([...read.names(undefined).names]).toEqual(names);
  }
});

test('equal names are the same set, of the last request or of another subscription', () => {
  const known = readPlainRequest(request(['a', 'b'])).names(undefined);
  expect(readPlainRequest(request(['a', 'b'])).names(known)).toBe(known);
  expect(readPlainRequest(request(['a', 'b'])).names(undefined)).toBe(known);
  for (const others of [[], ['a'], ['b', 'a'], ['a', 'b', 'c'], ['ab']])
    expect([...readPlainRequest(request(others)).names(known).names]).toEqual(others);
});

test('names may stand anywhere in a request', () => {
  const names = new BinaryWriter();
  for (const name of ['a', 'b']) names.tag(3, WireType.LengthDelimited).string(name);
  const first = names.finish();
  const bytes = Buffer.concat([
    first,
    request(['c']),
    new BinaryWriter().tag(3, WireType.LengthDelimited).string('d').finish(),
  ]);
  const read = readPlainRequest(bytes);
  expect(read).toMatchObject(FIELDS);
  expect([...read.names(undefined).names]).toEqual(['a', 'b', 'c', 'd']);
});

test('the names of a request stay as they are when its buffer is used again', () => {
  const bytes = Buffer.from(request(['a', 'b']));
  const known = readPlainRequest(bytes).names(undefined);
  bytes.fill(0);
  expect(readPlainRequest(request(['a', 'b'])).names(known)).toBe(known);
});

test('what is not a request is refused', () => {
  const bytes = request(['a', 'b']);
  expect(() => readPlainRequest(bytes.subarray(0, -1))).toThrow();
  const notText = new BinaryWriter()
    .tag(3, WireType.LengthDelimited)
    .bytes(new Uint8Array([0xff]))
    .finish();
  const read = (): unknown => readPlainRequest(Buffer.concat([bytes, notText])).names(undefined);
  expect(read).toThrow(Malformed);
});
