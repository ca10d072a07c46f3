/** A value of each type, and its form as an attribute of OTLP. */
import type { Shape } from '../../src/adapters/contract.ts';

export const SHAPE: Shape = {
  code: 'int',
  ratio: 'double',
  took: 'duration',
  ok: 'bool',
  tags: 'list<string>',
  labels: 'map<string>',
  raw: 'bytes',
  below: 'int',
  name: 'string',
};
export const VALUES = {
  code: 200,
  ratio: 0.5,
  took: 1500,
  ok: true,
  tags: ['a', 'ü'],
  labels: { k: 'v' },
  raw: Buffer.from('xyz'),
  below: -7,
  name: 'ü'.repeat(100),
};
export const ATTRIBUTES = {
  code: { intValue: '200' },
  ratio: { doubleValue: 0.5 },
  took: { doubleValue: 1.5 },
  ok: { boolValue: true },
  tags: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'ü' }] } },
  labels: { kvlistValue: { values: [{ key: 'k', value: { stringValue: 'v' } }] } },
  raw: { bytesValue: Buffer.from('xyz').toString('base64') },
  below: { intValue: '-7' },
};
