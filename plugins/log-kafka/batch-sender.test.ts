import { setTimeout as sleep } from 'node:timers/promises';
import { Unavailable } from 'sluice/plugin';
import { expect, test } from 'vitest';
import { BatchSender, type Outcome, type Outgoing } from './batch-sender.ts';

const MESSAGES_OF_A_SLICE = 150;

const outgoing = (count: number): Outgoing[] =>
  Array.from({ length: count }, (_, n) => ({
    id: `id-${n}`,
    rule: 'lines',
    message: { topic: 'lines', value: Buffer.from(String(n)), headers: new Map(), timestamp: 0n },
  }));

test('a retry after a late slice sends no message again, neither of slices that ended before nor of the late one', async () => {
  const sent: string[] = [];
  const second = Promise.withResolvers<Outcome>();
  const sender = new BatchSender({
    send: async (messages, slice) => {
      sent.push(...messages.map(({ value }) => String(value)));
      return slice === 1 ? second.promise : 'written';
    },
    unavailableAfterMs: 20,
    onLate: () => 'late',
    onRefused: () => undefined,
  });
  const batch = outgoing(3 * MESSAGES_OF_A_SLICE);
  await expect(sender.send(batch)).rejects.toThrow(Unavailable);
  await expect(sender.send(batch)).rejects.toThrow('late');
  second.resolve('written');
  await sleep(1);
  await sender.send(batch);
  expect(sent).toEqual(batch.map(({ message }) => String(message.value)));
  await sender.send(batch.slice(0, 1)); // the batch has ended, so nothing of it is remembered
  expect(sent).toHaveLength(batch.length + 1);
});

test('a slice that ends in the turn in which its batch is late is not sent again', async () => {
  for (let round = 0; round < 20; round++) {
    let sent = 0;
    const sender = new BatchSender({
      send: async (messages) => {
        sent += messages.length;
        await sleep(5);
        return 'written';
      },
      unavailableAfterMs: 5,
      onLate: () => 'late',
      onRefused: () => undefined,
    });
    const batch = outgoing(10);
    await sender.send(batch).catch(() => sender.send(batch));
    expect(sent).toBe(10);
  }
});

test('a retry sends the failed messages of a slice again, and neither the written nor the refused ones', async () => {
  const sent: string[] = [];
  let isAway = true;
  const refused: string[] = [];
  const sender = new BatchSender({
    send: async (messages) => {
      const values = messages.map(({ value }) => String(value));
      if (messages.length > 1) return { refused: 'one of them is too large' };
      if (values[0] === '1') return { refused: 'too large' };
      if (values[0] === '2' && isAway) return { failed: 'away' };
      sent.push(...values);
      return 'written';
    },
    unavailableAfterMs: 1000,
    onLate: () => 'late',
    onRefused: ({ id }) => refused.push(id),
  });
  const batch = outgoing(4);
  await expect(sender.send(batch)).rejects.toThrow(new Unavailable('away', 500));
  await expect(sender.send(batch)).rejects.toThrow(new Unavailable('away', 500));
  isAway = false;
  await expect(sender.send(batch)).rejects.toMatchObject({ entries: [1] });
  expect(sent).toEqual(['0', '3', '2']);
  expect(refused).toEqual(['id-1']);
  await sender.send(batch.slice(0, 1)); // nothing of it is remembered
  expect(sent).toEqual(['0', '3', '2', '0']);
});
