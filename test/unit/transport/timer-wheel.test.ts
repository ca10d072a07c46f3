import { expect, test } from 'vitest';
import { TimerWheel } from '../../../src/transport/grpc/timer-wheel.ts';

test('an end in ten thousand years sets no timer that fires at once, and others expire in time', async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  const wheel = new TimerWheel();
  const expired: string[] = [];
  const far = { endsAtMs: performance.now() + 99_999_999 * 3_600_000, expire: () => void expired.push('far') };
  wheel.add(far);
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  await new Promise<void>((resolve) => {
    wheel.add({
      endsAtMs: performance.now() + 30,
      expire: () => {
        expired.push('near');
        resolve();
      },
    });
  });
  wheel.remove(far);
  process.off('warning', onWarning);
  expect([expired, warnings]).toEqual([['near'], []]);
});
