import { expect, onTestFinished, test, vi } from 'vitest';
import type { Log } from '../../../src/adapters/contract.ts';
import { OutageLog } from '../../../src/adapters/outage-log.ts';

function logged(): { readonly log: Log; readonly lines: unknown[] } {
  const lines: unknown[] = [];
  const at =
    (level: string) =>
    (message: string, fields?: object): void => {
      lines.push({ level, message, ...fields });
    };
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } };
}

test('an outage is logged as one warning with its cause, and one line when it is over', () => {
  const { log, lines } = logged();
  let nowMs = 1000;
  const outage = new OutageLog(log, { handler: 'limits' }, () => nowMs);
  outage.succeeded('answers again');
  for (let call = 0; call < 500; call++) outage.failed('does not answer', 'ECONNREFUSED');
  nowMs += 5000;
  outage.succeeded('answers again');
  outage.succeeded('answers again');
  expect(lines).toEqual([
    { level: 'warn', message: 'does not answer', handler: 'limits', why: 'ECONNREFUSED', failures: 1, downMs: 0 },
    { level: 'info', message: 'answers again', handler: 'limits', failures: 500, downMs: 5000 },
  ]);
});

test('a long outage is logged once a minute, a flapping backend no more often', () => {
  const { log, lines } = logged();
  let nowMs = 0;
  const outage = new OutageLog(log, {}, () => nowMs);
  for (; nowMs < 150_000; nowMs += 1000) outage.failed('does not answer', 'hung');
  expect(lines).toMatchObject([{ failures: 1 }, { failures: 61, downMs: 60_000 }, { failures: 121 }]);
  outage.succeeded('answers again');
  lines.length = 0;
  for (const end = nowMs + 10_000; nowMs < end; nowMs += 10) {
    outage.failed('does not answer', 'slow');
    outage.succeeded('answers again');
  }
  expect(lines).toEqual([]);
});

test('outages within a minute of a logged one are logged when it is over, also if they are over too', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { log, lines } = logged();
  const outage = new OutageLog(log, { handler: 'audit' });
  const down = (ms: number, why: string): void => {
    outage.failed('does not answer', why);
    vi.advanceTimersByTime(ms);
    outage.succeeded('answers again', () => ({ waitingReports: 0 }));
  };
  down(1000, 'first');
  expect(lines).toHaveLength(2);
  vi.advanceTimersByTime(10_000);
  down(2000, 'second');
  vi.advanceTimersByTime(10_000);
  down(3000, 'third');
  expect(lines).toHaveLength(2);
  vi.advanceTimersByTime(33_999);
  expect(lines).toHaveLength(2);
  vi.advanceTimersByTime(1);
  const counts = { handler: 'audit', failures: 2, downMs: 5000, outages: 2 };
  expect(lines.slice(2)).toEqual([
    { level: 'warn', message: 'does not answer', why: 'third', ...counts },
    { level: 'info', message: 'answers again', waitingReports: 0, ...counts },
  ]);
  vi.advanceTimersByTime(120_000);
  expect(lines).toHaveLength(4);

  down(1, 'fourth');
  outage.failed('does not answer', 'fifth');
  vi.advanceTimersByTime(60_000);
  expect(lines.slice(4)).toMatchObject([
    { why: 'fourth', failures: 1 },
    { failures: 1, downMs: 1 },
    { level: 'warn', why: 'fifth', failures: 1 },
  ]);
  outage.succeeded('answers again');
  expect(lines.at(-1)).toMatchObject({ level: 'info', failures: 1, downMs: 60_000 });
});
