import { expect, test } from 'vitest';
import { Code, Unit } from '../../../src/ratelimit/call.ts';
import { replyText, requestText } from '../../../src/tracing/message-text.ts';

test('a request is in the text format of protobuf', () => {
  expect(
    requestText({
      domain: 'shop',
      hits: 0,
      descriptors: [
        {
          entries: [
            ['user', 'a "b"\n'],
            ['empty', ''],
          ],
          hits: undefined,
          override: undefined,
        },
        { entries: [], hits: 0, override: { requestsPerUnit: 5, unit: Unit.DAY } },
        { entries: [], hits: 3, override: undefined },
      ],
    }),
  ).toBe(
    'domain:"shop" descriptors:{entries:{key:"user" value:"a \\"b\\"\\n"} entries:{key:"empty"}} descriptors:{limit:{requests_per_unit:5 unit:DAY} hits_addend:{}} descriptors:{hits_addend:{value:3}}',
  );
});

test('a reply is in the text format of protobuf', () => {
  expect(
    replyText({
      overallCode: Code.OVER_LIMIT,
      statuses: [
        {
          code: Code.OVER_LIMIT,
          currentLimit: { requestsPerUnit: 5, unit: undefined, name: 'five' },
          remaining: 0,
          resetS: 60,
        },
        { code: Code.OK, currentLimit: undefined, remaining: 4, resetS: undefined },
      ],
      headers: [['RateLimit', 'x']],
      dynamicMetadata: { a: [1, true, null, { b: 'c' }] },
    }),
  ).toBe(
    'overall_code:OVER_LIMIT statuses:{code:OVER_LIMIT current_limit:{name:"five" requests_per_unit:5} duration_until_reset:{seconds:60}} statuses:{code:OK limit_remaining:4} ' +
      'response_headers_to_add:{key:"RateLimit" value:"x"} ' +
      'dynamic_metadata:{fields:{key:"a" value:{list_value:{values:{number_value:1} values:{bool_value:true} values:{null_value:NULL_VALUE} values:{struct_value:{fields:{key:"b" value:{string_value:"c"}}}}}}}}',
  );
});

test('values of entries whose keys name credentials are not shown, in requests and in the metadata of replies', () => {
  const secret = 's3cr3t';
  const entries: [string, string][] = [
    ['x-api-key', secret],
    ['Authorization', `Bearer ${secret}`],
    ['my_token', `${secret}=x`],
    ['tokens', 'many'],
  ];
  const request = requestText({
    domain: 'shop',
    hits: 0,
    descriptors: [{ entries, hits: undefined, override: undefined }],
  });
  const reply = replyText({
    overallCode: Code.OK,
    statuses: [],
    headers: [],
    dynamicMetadata: { descriptors: [{ entries: entries.map((entry) => entry.join('=')) }], domain: 'shop' },
  });
  expect(request + reply).not.toContain(secret);
  expect(request).toContain('{key:"Authorization" value:"(secret)"}');
  expect(request).toContain('{key:"tokens" value:"many"}');
  expect(reply).toContain('"x-api-key=(secret)"');
  expect(reply).toContain('"tokens=many"');
});
