/** The Huffman code of HPACK, compared with a bitwise decoder, and with nghttp2 (of node:http2). */
import { connect } from 'node:http2';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { HpackDecoder } from '../../../src/transport/h2/hpack-decoder.ts';
import { CODES, decodeHuffman, mostDecoded } from '../../../src/transport/h2/huffman.ts';
import { Random } from '../../parts/random.ts';
import { PREFACE } from './raw-peer.ts';

const RUNS = Number(process.env['RUNS'] ?? 3000);
const bitsOf = (code: number, bits: number): string => code.toString(2).padStart(bits, '0');
const BY_BITS = new Map(CODES.map(({ symbol, bits, code }) => [bitsOf(code, bits), symbol]));
const BY_SYMBOL = new Map(CODES.map(({ symbol, bits, code }) => [symbol, bitsOf(code, bits)]));

/** RFC 7541 section 5.2, word for word. */
function slowly(bytes: readonly number[]): number[] | undefined {
  const decoded: number[] = [];
  let code = '';
  for (const bit of bytes.map((byte) => bitsOf(byte, 8)).join('')) {
    code += bit;
    const symbol = BY_BITS.get(code);
    if (symbol === 256) return undefined;
    if (symbol === undefined) continue;
    decoded.push(symbol);
    code = '';
  }
  return code.length < 8 && !code.includes('0') ? decoded : undefined;
}

function decoded(bytes: readonly number[]): number[] | undefined {
  const out = new Uint8Array(mostDecoded(bytes.length) + 5).fill(0xee);
  const end = decodeHuffman(Uint8Array.from([9, ...bytes, 9]), 1, 1 + bytes.length, out, 5);
  expect([...out.subarray(0, 5)]).toEqual([0xee, 0xee, 0xee, 0xee, 0xee]);
  return end < 0 ? undefined : [...out.subarray(5, end)];
}

function encoded(symbols: readonly number[], padding = '1'): number[] {
  const bits = symbols.map((symbol) => BY_SYMBOL.get(symbol)).join('');
  return (
    bits
      .padEnd(Math.ceil(bits.length / 8) * 8, padding)
      .match(/.{8}/g)
      ?.map((byte) => Number.parseInt(byte, 2)) ?? []
  );
}

test('each byte alone, and before and after each length of code', () => {
  for (let symbol = 0; symbol < 256; symbol++) {
    for (const other of [0x30, 0x33, 0x58, 0x7c, 0x7b, 0, 0x0a, 0xff]) {
      for (const text of [[symbol], [symbol, other], [other, symbol], [other, symbol, other, symbol, symbol]])
        expect(decoded(encoded(text)), String(text)).toEqual(text);
    }
  }
  expect(decoded([])).toEqual([]);
});

test('invalid code: EOS, padding of zeros, padding that is too long', () => {
  expect(decoded([0xff, 0xff, 0xff, 0xff])).toBeUndefined();
  expect(decoded(encoded([0x61, 256, 0x61]))).toBeUndefined();
  expect(decoded(encoded([0x61], '0'))).toBeUndefined();
  expect(decoded([...encoded([0x61]), 0xff])).toBeUndefined();
});

test(`${RUNS} random bytes and texts`, () => {
  const random = new Random(3);
  for (let run = 0; run < RUNS; run++) {
    const length = random.below(40);
    const bytes =
      random.below(2) === 0
        ? Array.from({ length }, () => (random.below(3) === 0 ? 0xff : random.below(256)))
        : encoded(
            Array.from({ length }, () => (random.below(8) === 0 ? random.below(256) : 0x30 + random.below(0x40))),
            random.below(8) === 0 ? '0' : '1',
          );
    expect(decoded(bytes), String(bytes)).toEqual(slowly(bytes));
  }
});

test('as nghttp2 encodes', async () => {
  const random = new Random(5);
  const values = Array.from({ length: 60 }, (_, at) =>
    Array.from({ length: random.below(120) }, () =>
      String.fromCharCode(at % 2 === 0 ? 0x30 + random.below(10) : 0x21 + random.below(94)),
    ).join(''),
  );
  const chunks: Buffer[] = [];
  const server = createServer((socket) => void socket.on('error', () => {}).on('data', (chunk) => chunks.push(chunk)));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const client = connect(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`).on('error', () => {});
  client.request(Object.fromEntries(values.map((value, at) => [`x-${at}`, value]))).on('error', () => {});
  const block = (): Buffer | undefined => {
    const all = Buffer.concat(chunks).subarray(PREFACE.length);
    for (let at = 0; at + 9 <= all.length; at += 9 + all.readUIntBE(at, 3))
      if (all[at + 3] === 1 && all.length >= at + 9 + all.readUIntBE(at, 3))
        return all.subarray(at + 9, at + 9 + all.readUIntBE(at, 3));
    return undefined;
  };
  while (block() === undefined)
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  client.destroy();
  server.close();
  const bytes = block() as Buffer;
  const fields = new HpackDecoder(1 << 20).decode(bytes, 0, bytes.length) ?? [];
  expect(fields.filter(({ name }) => name.startsWith('x-')).map(({ value }) => value)).toEqual(values);
});
