/** A head that shares a summary equals one that is parsed in full. */
import { expect, test } from 'vitest';
import { HeadReader } from '../../../src/transport/h2/head-reader.ts';
import { DEFAULT_LIMITS } from '../../../src/transport/limits.ts';
import type { RequestHead } from '../../../src/transport/h2/request-head.ts';
import { Random } from '../../parts/random.ts';

const RUNS = Number(process.env['RUNS'] ?? 4000);
const NAMES = [
  ':method',
  ':scheme',
  ':path',
  ':authority',
  'content-type',
  'content-length',
  'te',
  'grpc-timeout',
  'grpc-encoding',
  'x-request-id',
  'traceparent',
  ':status',
  'upgrade',
];
const VALUES: Readonly<Record<string, readonly string[]>> = {
  ':method': ['POST', 'POST', 'POST', 'GET', 'CONNECT'],
  ':scheme': ['http'],
  ':path': ['/a/B', '/a/B', '/a/C', ''],
  'content-type': ['application/grpc', 'application/grpc', 'text/html'],
  'content-length': ['7', '7', '8', 'x'],
  te: ['trailers', 'trailers', 'gzip'],
  'grpc-timeout': ['200m', '200m', '1S'],
  'grpc-encoding': ['identity', 'gzip'],
};
const SOUND: readonly (readonly [string, string])[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/a/B'],
  ['content-type', 'application/grpc'],
  ['x-request-id', '1'],
];
const OTHERS = ['1', '2', 'a\0b', ' blank'] as const;

const encoded = (text: string): number[] => [text.length, ...Buffer.from(text, 'latin1')];
/** Literals without indexing, so that a block means the same whatever precedes it. */
const block = (fields: readonly (readonly [string, string])[]): Buffer =>
  Buffer.from(fields.flatMap(([name, value]) => [0x00, ...encoded(name), ...encoded(value)]));

const said = (head: RequestHead | string | undefined): unknown =>
  typeof head === 'object'
    ? {
        method: head.method,
        path: head.path,
        type: head.contentType,
        length: head.contentLength,
        fields: NAMES.map((name) => head.header(name)),
      }
    : head;
const made = (head: RequestHead): string =>
  JSON.stringify([head.method, head.path, head.contentType, head.header('grpc-timeout'), head.header('grpc-encoding')]);

test(`${RUNS} heads, most of them like the one before`, () => {
  const random = new Random(11);
  const reader = new HeadReader(DEFAULT_LIMITS);
  const pick = (name: string): readonly [string, string] => [
    name,
    random.one(VALUES[name] ?? (random.below(12) === 0 ? OTHERS : OTHERS.slice(0, 2))),
  ];
  let fields = [...SOUND];
  let shared = 0;
  for (let run = 0; run < RUNS; run++) {
    const at = random.below(fields.length);
    const change = random.below(12);
    if (change < 6) fields = fields.with(at, pick((fields[at] as readonly [string, string])[0]));
    else if (change < 8) fields = [...fields, pick(random.one(NAMES))];
    else if (change === 8) fields = fields.toSpliced(at, 1);
    else if (change === 9) fields = fields.toSpliced(at, 0, pick(random.one(NAMES)));
    if (fields.length < 3 || fields.length > 12) fields = [...SOUND];
    const bytes = block(fields);
    const head = reader.head(bytes, 0, bytes.length);
    expect(said(head), JSON.stringify(fields)).toEqual(
      said(new HeadReader(DEFAULT_LIMITS).head(bytes, 0, bytes.length)),
    );
    if (typeof head !== 'object') {
      if (random.below(3) === 0) fields = [...SOUND];
      continue;
    }
    if (head.cached !== undefined) shared++;
    head.cached ??= made(head);
    expect(head.cached).toBe(made(head));
  }
  expect(shared).toBeGreaterThan(RUNS / 10);
});
