import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lineFormat } from './format.ts';
import { OPERATORS } from './operators.ts';
import { templateOf } from './template.ts';

const input = {
  start_time: new Date('2026-01-02T03:04:05.678Z'),
  method: 'GET',
  path: '/a?b',
  protocol: 'HTTP/2',
  response_code: 200,
  response_flags: '-',
  bytes_received: 0,
  bytes_sent: 12,
  duration: '1.2345s',
  response_headers: { 'x-envoy-upstream-service-time': '7' },
  request_headers: { 'user-agent': 'curl "x"\n\\', 'x-request-id': 'abc' },
  authority: 'shop:80',
  upstream_host: '10.0.0.1:80',
  user: null,
};
const entry = { sink: 'some-rule', id: 'id-1', timeMs: 0, input };
const line = (template: string): string => templateOf(template).line(entry);
const SHAPE = Object.fromEntries(Object.keys(input).map((name) => [name, 'any' as const]));

describe('a text template', () => {
  test("writes a line in Envoy's default format", () => {
    expect(
      line(
        '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n',
      ),
    ).toBe(
      String.raw`[2026-01-02T03:04:05.678Z] "GET /a?b HTTP/2" 200 - 0 12 1234 7 "-" "curl \"x\"\x0a\\" "abc" "shop:80" "10.0.0.1:80"`,
    );
  });

  test.each([
    ['%RULE% %REPORT_ID% %FIELD(user)% %FIELD(nothing)%', 'some-rule id-1 - -'],
    ['100%% %REQ(X-NONE?USER-AGENT):4%|', '100% curl|'],
    ['%START_TIME(%d/%b/%Y:%H:%M:%S %z)%', '02/Jan/2026:03:04:05 +0000'],
    ['%START_TIME(%s.%3f %6f %F %T %I%p %a %e)%', '1767323045.678 678000 2026-01-02 03:04:05 03AM Fri  2'],
  ])('writes %s as %s', (template, expected) => {
    expect(line(template)).toBe(expected);
  });

  test.each([
    ['%DYNAMIC_METADATA(a:b)%', /DYNAMIC_METADATA\(a:b\)% is not supported; .* %FIELD\(dynamic_metadata\)%/],
    ['%PROTOCOL(x)%', /PROTOCOL has no argument/],
    ['50% off', /"% off" is no operator/],
    ['%REQ()%', /write %REQ\(HEADER\)%/],
    ['%REQ(:NONE)%', /:none is no header of this kind; known are :method/],
    ['%FIELD%', /write %FIELD\(NAME\)%/],
    ['%START_TIME(%Q)%', /%Q is not known/],
    ['a\nb', /a line end inside the template/],
  ])('refuses %j', (template, says) => {
    expect(() => templateOf(template)).toThrow(says);
  });

  test('names the fields that a rule lacks, each with its expression', () => {
    const { sink } = lineFormat('%REQ(:METHOD)% %UPSTREAM_CLUSTER% %ROUTE_NAME%');
    expect(() => sink({ rule: 'r', params: undefined, input: SHAPE })).toThrow(
      "add to its input: { upstream_cluster: 'context.upstream.cluster', route_name: 'context.route_name' }",
    );
    expect(lineFormat('%REQ(:METHOD)%').sink({ rule: 'r', params: undefined, input: SHAPE })).toBe('r');
  });
});

test('docs/text-lines.md has every operator with its field and expression', () => {
  const page = readFileSync(new URL('../../docs/text-lines.md', import.meta.url), 'utf8');
  for (const [name, { field, expression }] of OPERATORS)
    expect(page).toContain(`| \`%${name}%\` | \`${field}\` | \`${expression}\` |`);
});
