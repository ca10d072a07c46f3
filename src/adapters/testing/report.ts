/** Behaviours of every adapter that serves `report`. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type Adapter, type ReportEntry, type Shape, Unavailable } from '../contract.ts';
import { type Behaviour, eventually, ofOpen, openSubject, paramsOf } from './behaviours.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { PlacedSubject, ReportSubject } from './subject.ts';

const BATCH = 250;

export function reportBehaviours(adapter: Adapter, subject: PlacedSubject, example: ReportSubject): Behaviour[] {
  const expectedOf = example.expected ?? ((entries: readonly ReportEntry[]) => entries.map(({ input }) => input));

  const sinkOf = ({ handler }: OpenedForTest, rule: string): unknown => {
    const input: Shape =
      example.shape ?? Object.fromEntries(Object.keys(example.input(0)).map((name) => [name, 'any' as const]));
    return handler.sink?.({ rule, input, params: paramsOf(adapter, 'report', example.params) });
  };
  const entriesOf = (
    opened: OpenedForTest,
    first: number,
    count: number,
    sinks = [sinkOf(opened, 'example')],
  ): ReportEntry[] =>
    Array.from({ length: count }, (_, at) => ({
      sink: sinks[at % sinks.length],
      id: randomUUID(),
      timeMs: opened.clock.nowMs() + at,
      input: example.input(first + at),
    }));
  const write = async ({ handler }: OpenedForTest, entries: readonly ReportEntry[]): Promise<void> => {
    assert.ok(handler.write !== undefined);
    await handler.write(entries, testCall(30_000));
  };
  const arrives = async (opened: OpenedForTest, entries: readonly ReportEntry[]): Promise<void> =>
    eventually(async () => assert.deepEqual(inOrder(await example.read(opened)), inOrder(expectedOf(entries))));

  const behaviours: Behaviour[] = [
    ofOpen(adapter, subject, 'a batch is delivered whole', async (opened) => {
      const entries = entriesOf(opened, 0, BATCH);
      await write(opened, entries);
      await arrives(opened, entries);
    }),
    ofOpen(adapter, subject, 'one entry is a batch', async (opened) => {
      const entries = entriesOf(opened, 0, 1);
      await write(opened, entries);
      await arrives(opened, entries);
    }),
    ofOpen(adapter, subject, 'a batch over two sinks is delivered whole', async (opened) => {
      const entries = entriesOf(opened, 0, BATCH, [sinkOf(opened, 'one-rule'), sinkOf(opened, 'other-rule')]);
      await write(opened, entries);
      await arrives(opened, entries);
    }),
    ofOpen(adapter, subject, 'batches written at once are all delivered', async (opened) => {
      const batches = Array.from({ length: 5 }, (_, at) => entriesOf(opened, at * 50, 50));
      await Promise.all(batches.map((entries) => write(opened, entries)));
      await arrives(opened, batches.flat());
    }),
    {
      says: 'accepted entries are delivered even if the handler closes at once',
      async show() {
        const opened = await openSubject(adapter, subject);
        const entries = entriesOf(opened, 0, BATCH);
        await write(opened, entries);
        await opened.close();
        await arrives(opened, entries);
      },
    },
  ];
  const { away } = example;
  if (away !== undefined)
    behaviours.push(
      ofOpen(adapter, subject, 'Unavailable while the backend is away, and nothing is lost after', async (opened) => {
        const before = entriesOf(opened, 0, 10);
        await write(opened, before);
        const during = entriesOf(opened, 10, 10);
        await away.begin();
        try {
          await assert.rejects(
            write(opened, during),
            (error) => error instanceof Unavailable,
            'a write without the backend does not fail as Unavailable',
          );
        } finally {
          await away.end();
        }
        await eventually(() => write(opened, during), 30_000);
        const all = expectedOf([...before, ...during]).map(canonical);
        await eventually(async () => {
          const read = new Set((await example.read(opened)).map(canonical));
          assert.deepEqual(
            all.filter((one) => !read.has(one)),
            [],
            'these were lost',
          );
        });
      }),
    );
  return behaviours;
}

const inOrder = (values: readonly unknown[]): string[] => values.map(canonical).toSorted();

/** Canonical text: independent of the order of names. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
