import { expect, test } from 'vitest';
import { labelsOf } from '../../../src/attributes/labels.ts';

test('labels are read from pairs between commas', () => {
  expect([...(labelsOf('app=web, version=v1,tier=') ?? [])]).toEqual([
    ['app', 'web'],
    ['version', 'v1'],
    ['tier', ''],
  ]);
  expect(labelsOf(undefined)?.size).toBe(0);
  expect(labelsOf('')?.size).toBe(0);
});

test.each(['web', 'app=web,version', '=v1', 'app=web,,version=v1'])('the text %s is not labels', (text) => {
  expect(labelsOf(text)).toBeUndefined();
});
