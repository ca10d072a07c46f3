/** Where an error of a plugin was thrown. */
import { expect, test } from 'vitest';
import { notePlace, originOf } from '../../../src/adapters/loading/plugin-places.ts';
import { saidBy, thrownAt } from '../../../src/adapters/thrown-place.ts';
import { frameOf } from '../../../src/core/handlers/throttled-line.ts';
import { SOURCE_FOLDER } from '../../../src/files/program.ts';

const thrown = (error: Error, ...frames: readonly string[]): Error =>
  Object.assign(error, { stack: [`Error: ${error.message}`, ...frames.map((frame) => `    at ${frame}`)].join('\n') });

test('is the first frame outside of Sluice and Node, without the query of a plugin that was loaded again', () => {
  const error = thrown(
    new TypeError('no'),
    `deny (file://${SOURCE_FOLDER}adapters/contract.ts:1:2)`,
    'readFileSync (node:fs:1:2)',
    'ask (file:///plugins/a/adapter.ts?reload=7:28:15)',
    'file:///plugins/a/other.ts:1:1',
  );
  expect(thrownAt(error)).toBe('/plugins/a/adapter.ts:28:15');
  expect(saidBy(error)).toBe('no (thrown at /plugins/a/adapter.ts:28:15)');
});

test('is the first frame where all are of Sluice or Node, and unknown without a stack', () => {
  expect(thrownAt(thrown(new Error('no'), 'work (node:fs:1:2)', 'node:events:3:4'))).toBe('node:fs:1:2');
  expect(thrownAt(thrown(new Error('no')))).toBeUndefined();
  expect(thrownAt('no')).toBeUndefined();
});

test('is no line of a message, which may quote a client', () => {
  notePlace('/plugins/a', 'a');
  notePlace('/plugins/b', 'b');
  const error = thrown(
    new TypeError('no token\n    at a-token-of-ann (file:///plugins/b/adapter.ts:1:2)'),
    'ask (file:///plugins/a/adapter.ts:28:15)',
  );
  expect(thrownAt(error)).toBe('/plugins/a/adapter.ts:28:15');
  expect(frameOf(error)).toBe('/plugins/a/adapter.ts:28:15');
  expect(originOf(error)).toMatchObject({ plugin: 'a' });
  expect(thrownAt(new TypeError('no\n    at a-token:1:2'))).not.toContain('a-token');
});

test('is not said of an error that the plugin made for operators', () => {
  expect(saidBy(thrown(new Error('the file is empty'), 'file:///plugins/a/adapter.ts:1:1'))).toBe('the file is empty');
});
