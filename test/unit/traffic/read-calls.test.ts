/** Files of calls as a stranger gives them. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { firstLine, MAX_LINE_BYTES } from '../../../src/traffic/format.ts';
import { fileOf, readAll, tempFolder } from './recording.ts';

const line = (id: number, rest: object = {}): string =>
  JSON.stringify({ id: `id-${id}`, time: '2026-01-31T12:00:00Z', call: 'http', attributes: {}, ...rest });
const BEGIN = firstLine(0);

const idsIn = async (path: string, ...more: readonly string[]) => {
  const { calls, problems } = await readAll([path, ...more]);
  return { ids: calls.map(({ call }) => call.id), problems: problems.lines() };
};

describe('a file of calls', () => {
  test('has its calls, whatever ends its last line', async () => {
    for (const end of ['', '\n', '\n\n', '\r\n'])
      expect(await idsIn(await fileOf([BEGIN, line(1), line(2)].join('\n') + end))).toEqual({
        ids: ['id-1', 'id-2'],
        problems: [],
      });
  });

  test('says how many calls it lacks', async () => {
    const { problems } = await readAll([await fileOf([BEGIN, firstLine(0, 12), line(1), firstLine(0, 3)].join('\n'))]);
    expect([problems.skipped, problems.isSkippedKnown, problems.count]).toEqual([15, true, 0]);
    expect((await readAll([await fileOf(firstLine(0, null))])).problems.isSkippedKnown).toBe(false);
  });

  test('may be compressed', async () => {
    const text = Buffer.from([BEGIN, line(1)].join('\n'));
    expect((await idsIn(await fileOf(gzipSync(text), 'calls.ndjson.gz'))).ids).toEqual(['id-1']);
    expect((await idsIn(await fileOf(zstdCompressSync(text), 'calls.ndjson.zst'))).ids).toEqual(['id-1']);
  });

  test('that is cut short has the calls before the cut', async () => {
    const text = [BEGIN, ...Array.from({ length: 5000 }, (_, at) => line(at))].join('\n');
    const cut = await idsIn(await fileOf(text.slice(0, -20)));
    expect(cut.ids).toHaveLength(4999);
    expect(cut.problems).toEqual([expect.stringMatching(/calls\.ndjson:5001 TRAFFIC_NOT_JSON the line is not JSON: /)]);
    const packed = gzipSync(text);
    const cutPacked = await idsIn(await fileOf(packed.subarray(0, packed.length / 2), 'calls.ndjson.gz'));
    expect(cutPacked.ids.length).toBeGreaterThan(100);
    expect(cutPacked.problems.at(-1)).toMatch(/calls\.ndjson\.gz:\d+ TRAFFIC_UNREADABLE unexpected end of file/);
  });

  test('may have lines that are not calls: each is named by its place, and the others are read', async () => {
    const path = await fileOf(
      [
        'nonsense',
        '[]',
        line(1),
        line(2, { call: 'log' }),
        line(3, { time: 'noon' }),
        line(4, { attributes: [] }),
        line(5, { verdict: { outcome: 'maybe' } }),
        line(6, { call: 'limit' }),
        '{"call":"http"}',
        line(7),
      ].join('\n'),
    );
    const { ids, problems } = await idsIn(path);
    expect(ids).toEqual(['id-1', 'id-7']);
    expect(problems.map((problem) => problem.slice(path.length))).toEqual([
      ':1 TRAFFIC_NOT_JSON the line is not JSON: "nonsense"',
      ':2 TRAFFIC_NOT_A_CALL the line is []; expected an object',
      ':4 TRAFFIC_NOT_A_CALL call is "log"; expected http, tcp, authzen, limit',
      ':5 TRAFFIC_NOT_A_CALL time is "noon"; expected a time such as 2026-01-31T12:00:00Z',
      ':6 TRAFFIC_NOT_A_CALL attributes is []; expected a map of attributes',
      ':7 TRAFFIC_NOT_A_CALL verdict has no outcome, or no list of reasons',
      ':8 TRAFFIC_NOT_A_CALL descriptors is missing; expected a list of maps of attributes',
      ':9 TRAFFIC_NOT_A_CALL time is missing; expected a time such as 2026-01-31T12:00:00Z',
    ]);
  });

  test('of a later version is refused as a whole', async () => {
    const later = await fileOf(['{"sluice":"calls","version":2}', line(1)].join('\n'));
    const { ids, problems } = await idsIn(later, await fileOf(line(2)));
    expect(ids).toEqual(['id-2']);
    expect(problems).toEqual([`${later}:1 TRAFFIC_VERSION the version is 2; this one reads 1`]);
  });

  test('may have lines of any length: those that are too long are skipped in little memory', async () => {
    const path = await fileOf(`${line(1)}\n`);
    const huge = `{"x":"${'x'.repeat(1024 * 1024)}`;
    for (let at = 0; at < 64; at++) await appendFile(path, huge); // one line of 64 MiB
    await appendFile(path, `\n${line(2, { attributes: { 'request.path': `/${'a'.repeat(MAX_LINE_BYTES / 2)}` } })}\n`);
    await appendFile(path, `{"x":"${'x'.repeat(10_000_000)}"}\n${line(3)}\n`);
    const before = process.memoryUsage().arrayBuffers;
    const { ids, problems } = await idsIn(path);
    expect(ids).toEqual(['id-1', 'id-2', 'id-3']);
    expect(problems).toEqual([
      expect.stringContaining(':2 TRAFFIC_LINE_TOO_LONG'),
      expect.stringContaining(':4 TRAFFIC_LINE_TOO_LONG'),
    ]);
    // Less than the line; chunks that are read wait for the collector, for long on a busy machine.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(6 * MAX_LINE_BYTES);
  });

  test('may have any number of bad lines: the first are kept, all are counted', async () => {
    const { problems } = await readAll([await fileOf('x\n'.repeat(10_000))]);
    expect(problems.count).toBe(10_000);
    expect(problems.lines()).toHaveLength(21);
    expect(problems.lines().at(-1)).toBe('9980 more lines could not be read');
  });
});

describe('several files', () => {
  test('are read in order; a folder in the order of its names', async () => {
    const folder = await tempFolder();
    await mkdir(join(folder, 'sub'));
    await writeFile(join(folder, 'b.ndjson'), line(2));
    await writeFile(join(folder, 'a.ndjson.gz'), gzipSync(line(1)));
    await writeFile(join(folder, 'README.md'), 'nothing');
    expect(await idsIn(folder, await fileOf(line(3)))).toEqual({ ids: ['id-1', 'id-2', 'id-3'], problems: [] });
  });

  test('of which one is missing are read all the same', async () => {
    const { ids, problems } = await idsIn('/does/not/exist', await fileOf(line(1)), await tempFolder());
    expect(ids).toEqual(['id-1']);
    expect(problems).toEqual([
      expect.stringMatching(/^\/does\/not\/exist TRAFFIC_UNREADABLE no such file or folder$/),
      expect.stringContaining('TRAFFIC_UNREADABLE the folder has no file of calls'),
    ]);
  });
});
