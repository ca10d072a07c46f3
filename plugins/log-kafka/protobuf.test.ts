import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { reportProtobuf } from './protobuf.ts';

test('another library reads a report by report.proto', async () => {
  const root = await protobuf.load(new URL('report.proto', import.meta.url).pathname);
  const type = root.lookupType('sluice.report.v1.Report');
  const fields = {
    text: 'ü'.repeat(200),
    empty: '',
    whole: 200,
    negative: -1,
    large: 2 ** 52,
    fraction: 1.5,
    odd: Number.NaN,
    huge: 2n ** 70n,
    yes: true,
    no: false,
    raw: new Uint8Array([1, 2]),
    at: new Date(1_767_225_600_123),
    none: null,
    list: ['a', [1]],
    map: { a: 'b', of: { c: 1 } },
  };
  const read = type.toObject(
    type.decode(reportProtobuf({ id: 'id-1', timeMs: 1_767_225_600_123.9 }, 'some-rule', fields)),
    {
      longs: String,
      bytes: String,
    },
  );
  expect(read).toEqual({
    id: 'id-1',
    rule: 'some-rule',
    timeMs: '1767225600123',
    fields: {
      text: { stringValue: 'ü'.repeat(200) },
      empty: { stringValue: '' },
      whole: { intValue: '200' },
      negative: { intValue: '-1' },
      large: { intValue: String(2 ** 52) },
      fraction: { doubleValue: 1.5 },
      odd: { doubleValue: Number.NaN },
      huge: { stringValue: String(2n ** 70n) },
      yes: { boolValue: true },
      no: { boolValue: false },
      raw: { bytesValue: 'AQI=' },
      at: { timestampMs: '1767225600123' },
      none: {},
      list: { listValue: { values: [{ stringValue: 'a' }, { listValue: { values: [{ intValue: '1' }] } }] } },
      map: {
        mapValue: { fields: { a: { stringValue: 'b' }, of: { mapValue: { fields: { c: { intValue: '1' } } } } } },
      },
    },
  });
});
