/** Lines of the log whose texts and fields strangers choose. */
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { sendLogTo } from '../../../src/log/log-output.ts';
import { type LogFormat, makeLog } from '../../../src/log/log.ts';

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  sendLogTo((line) => lines.push(line));
});

test.each<LogFormat>(['text', 'json'])(
  'fields that are named as those of the log are shown beside them (%s)',
  (format) => {
    const log = makeLog(format, 'info');
    log.warn('said', { level: 5, time: { never: true }, msg: ['no text'], port: 80 });
    log.with({ msg: 1 }).warn('bound');
    expect(lines).toHaveLength(2);
    if (format === 'text') {
      expect(lines[0]).toMatch(/ warn {2}said {2}level_=5 time_=\{"never":true\} msg_=\["no text"\] port=80\n$/);
    } else {
      const { time, ...shown } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
      expect(time).toMatch(/^\d{4}-/);
      expect(shown).toEqual({
        level: 'warn',
        msg: 'said',
        level_: 5,
        time_: { never: true },
        msg_: ['no text'],
        port: 80,
      });
      expect(lines[0]?.match(/"level":/g)).toHaveLength(1);
    }
  },
);

test('fields that cannot be read do not fail the line', () => {
  const boom = (): never => {
    throw new Error('do not read');
  };
  const log = makeLog('json', 'info');
  log.warn('getter', Object.defineProperty({ good: 1 }, 'bad', { get: boom, enumerable: true }));
  log.warn('proxy', new Proxy({}, { ownKeys: boom }));
  log.warn('in an instance', {
    one: new (class {
      a = 1n;
    })(),
  });
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['getter', 'proxy', 'in an instance']);
  expect(lines[0]).toContain('"good":1,"bad":"(cannot be read)"');
});

test('a long message is cut', () => {
  makeLog('json', 'info').warn('x'.repeat(1024 * 1024));
  expect(lines[0]?.length).toBeLessThan(66_000);
});

test('lines of ever new texts are limited, too, and their number is told', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const log = makeLog('json', 'info');
  for (let at = 0; at < 10_000; at++) log.warn(`a peer said ${at}`);
  expect(lines.length).toBeGreaterThan(1000);
  expect(lines.length).toBeLessThan(2500);
  const written = lines.length;
  log.error('a new line');
  vi.advanceTimersByTime(10_000);
  const told = lines.slice(written).map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(told).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      msg: 'log lines were left out; there are too many different ones',
      lines: 10_001 - written,
      seconds: 10,
    }),
  );
});
