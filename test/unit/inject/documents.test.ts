import { describe, expect, test } from 'vitest';
import { documentsOf } from '../../../src/inject/documents.ts';

/** In chunks of `size` bytes. */
async function* chunksOf(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function cut(text: string, size = 1 << 16): Promise<[document: string, line: number][]> {
  const found: [string, number][] = [];
  for await (const { bytes, line } of documentsOf(chunksOf(text, size))) found.push([bytes.toString(), line]);
  return found;
}

describe('a stream is cut into documents', () => {
  test.each<[what: string, text: string, documents: [string, number][]]>([
    ['nothing', '', []],
    ['one', 'a: 1\n', [['a: 1\n', 1]]],
    ['without a line break at the end', 'a: 1', [['a: 1\n', 1]]],
    [
      'two',
      'a: 1\n---\nb: 2\n',
      [
        ['a: 1\n', 1],
        ['b: 2\n', 3],
      ],
    ],
    [
      'a separator with spaces, and CRLF',
      'a: 1\r\n--- \t\r\nb: 2\r\n',
      [
        ['a: 1\r\n', 1],
        ['b: 2\r\n', 3],
      ],
    ],
    ['a separator at the start stays with its document', '---\na: 1\n', [['---\na: 1\n', 1]]],
    ['a separator at the end opens nothing', 'a: 1\n---\n', [['a: 1\n', 1]]],
    [
      'an empty document',
      'a: 1\n---\n---\n---\nb: 2\n',
      [
        ['a: 1\n', 1],
        ['---\n', 3],
        ['b: 2\n', 5],
      ],
    ],
    [
      'a separator with a comment stays with its document',
      'a: 1\n--- # of b\nb: 2\n',
      [
        ['a: 1\n', 1],
        ['--- # of b\nb: 2\n', 2],
      ],
    ],
    ['dashes that are no separator', 'a: |\n  ---\n----\n---b\n', [['a: |\n  ---\n----\n---b\n', 1]]],
    [
      'a comment alone',
      '# only\n---\n# twice',
      [
        ['# only\n', 1],
        ['# twice\n', 3],
      ],
    ],
  ])('%s', async (_, text, documents) => {
    for (const size of [1, 2, 3, 5, 1 << 16]) expect(await cut(text, size)).toEqual(documents);
  });

  test('a document that is too large is refused at its line, after those before it', async () => {
    const found: number[] = [];
    const large = `a: 1\n---\nb:\n${'  - x\n'.repeat(2_000_000)}`;
    await expect(async () => {
      for await (const { line } of documentsOf(chunksOf(large, 1 << 16))) found.push(line);
    }).rejects.toThrow(expect.objectContaining({ line: 3 }));
    expect(found).toEqual([1]);
    await expect(cut('x'.repeat(20 << 20), 1 << 16)).rejects.toThrow('more than 8 MiB');
  });
});
