import { setTimeout as sleep } from 'node:timers/promises';
import { Unavailable } from 'sluice/plugin';
import { expect, test } from 'vitest';
import { BatchSender, type Outcome } from './batch-sender.ts';
import type { Message } from './message.ts';

const MESSAGES_OF_A_SLICE = 500;

const NOTHING = Buffer.alloc(0);
const messages = (count: number): Message[] =>
  Array.from({ length: count }, (_, n) => ({
    id: `id-${n}`,
    rule: 'lines',
    timeMs: 0,
    key: undefined,
    bytes: NOTHING,
    from: 0,
    to: 0,
  }));

test('a retry after a late slice sends no message again, neither of slices that ended before nor of the late one', async () => {
  const sent: string[] = [];
  const second = Promise.withResolvers<Outcome>();
  const sender = new BatchSender({
    send: async (slice, number) => {
      sent.push(...slice.map(({ id }) => id));
      return number === 1 ? second.promise : 'written';
    },
    unavailableAfterMs: 20,
    onLate: () => 'late',
    onRefused: () => undefined,
  });
  const batch = messages(3 * MESSAGES_OF_A_SLICE);
  await expect(sender.send(batch)).rejects.toThrow(Unavailable);
  await expect(sender.send(batch)).rejects.toThrow('late');
  second.resolve('written');
  await sleep(1);
  await sender.send(batch);
  expect(sent).toEqual(batch.map(({ id }) => id));
  await sender.send(batch.slice(0, 1)); // the batch has ended, so nothing of it is remembered
  expect(sent).toHaveLength(batch.length + 1);
});

test('a slice that ends in the turn in which its batch is late is not sent again', async () => {
  for (let round = 0; round < 20; round++) {
    let sent = 0;
    const sender = new BatchSender({
      send: async (slice) => {
        sent += slice.length;
        await sleep(5);
        return 'written';
      },
      unavailableAfterMs: 5,
      onLate: () => 'late',
      onRefused: () => undefined,
    });
    const batch = messages(10);
    await sender.send(batch).catch(() => sender.send(batch));
    expect(sent).toBe(10);
  }
});

test('a retry sends the failed messages of a slice again, and neither the written nor the refused ones', async () => {
  const sent: string[] = [];
  let isAway = true;
  const refused: string[] = [];
  const sender = new BatchSender({
    send: async (slice) => {
      const ids = slice.map(({ id }) => id);
      if (slice.length > 1) return { refused: 'one of them is too large' };
      if (ids[0] === 'id-1') return { refused: 'too large' };
      if (ids[0] === 'id-2' && isAway) return { failed: 'away' };
      sent.push(...ids);
      return 'written';
    },
    unavailableAfterMs: 1000,
    onLate: () => 'late',
    onRefused: ({ id }) => refused.push(id),
  });
  const batch = messages(4);
  await expect(sender.send(batch)).rejects.toThrow(new Unavailable('away', 500));
  await expect(sender.send(batch)).rejects.toThrow(new Unavailable('away', 500));
  isAway = false;
  await expect(sender.send(batch)).rejects.toMatchObject({ entries: [1] });
  expect(sent).toEqual(['id-0', 'id-3', 'id-2']);
  expect(refused).toEqual(['id-1']);
  await sender.send(batch.slice(0, 1)); // nothing of it is remembered
  expect(sent).toEqual(['id-0', 'id-3', 'id-2', 'id-0']);
});
