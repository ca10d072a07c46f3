import { expect, test } from 'vitest';
import { MultipleErrors } from '@platformatic/kafka';
import { freePort } from '../../test/parts/free-port.ts';
import { RecordProducer } from './record-producer.ts';

test('an outage of many attempts keeps one error in memory', async () => {
  let attempts = 0;
  const broker = `127.0.0.1:${await freePort()}`;
  const { promise: areMany, resolve } = Promise.withResolvers<void>();
  const producer = new RecordProducer(
    {
      clientId: 'test',
      bootstrapBrokers: [broker],
      retries: true,
      retryDelay: () => {
        if (++attempts === 100) resolve();
        return 1;
      },
      timeout: 1000,
    },
    't',
    'none',
  );
  const ended = producer.topic().catch((error: unknown) => error);
  await areMany;
  await producer.close(true);
  const error = await ended;
  expect(error).toBeInstanceOf(MultipleErrors);
  expect((error as MultipleErrors).errors.length).toBeLessThanOrEqual(3); // the last ones, and that it was closed
});
