/** A text that seems to name a value, and does not, is a warning; JSON, prices and scripts are none. */
import { describe, expect, test } from 'vitest';
import { compileText, textInString } from '../../../src/expression/index.ts';
import { ATTRIBUTES } from './attributes-of-tests.ts';

/** The marked part, and the message. */
function warned(source: string): string[] {
  const { compiled, problems } = compileText(source, ATTRIBUTES);
  expect(problems).toEqual([]);
  return (compiled?.warnings ?? [])
    .filter(({ code }) => code === 'EXPRESSION_NOT_REPLACED')
    .map(({ start, end, message }) => `${source.slice(start, end)} | ${message}`);
}

describe('a near miss', () => {
  test.each([
    ['for $request.method}', '$request.method}'],
    ['$request.method is refused', '$request.method'],
    ['$ {request.method}', '$ {request.method}'],
    ['$(request.method)', '$(request.method)'],
    ['$[request.method]', '$[request.method]'],
    ['{request.method}', '{request.method}'],
    ['{{ request.method }}', '{{ request.method }}'],
    ['#{request.method} and %{request.path}', '#{request.method}'],
    ['$request.mthod}', '$request.mthod}'],
    ['$(request.mthod)', '$(request.mthod)'],
    ['{"path": "{request.path}", "n": 1}', '{request.path}'],
    ['${request.method} {request.path}', '{request.path}'],
    ['$${request.method} {request.path}', '{request.path}'],
    ['{request.headers["x-a"]}', '{request.headers["x-a"]}'],
  ])('%s', (source, part) => {
    const [said, ...more] = warned(source);
    const name = /[a-z.]+\.[a-z]+(?:\[.*?\])?/.exec(part)?.[0];
    expect(said).toBe(`${part} | ${part} is sent as it stands; write \${${name}} for its value`);
    expect(more).toEqual([]);
  });

  test('a name alone is an expression, where a text is expected', () => {
    expect(warned('request.method')).toEqual([
      'request.method | request.method is sent as these words; write ${request.method} for its value',
    ]);
    expect(warned(" request.headers['x-a']\n")).toHaveLength(1);
  });

  test('a backslash escapes nothing', () => {
    expect(warned('\\${request.method}')).toEqual([
      '\\${ | a backslash is sent as it stands, and the ${ after it is replaced; write $${ for the two characters themselves',
    ]);
  });

  test.each(['%REQ(:PATH)%', '%REQ(X-A?:B):10%', '%DOWNSTREAM_REMOTE_ADDRESS%', '%RESPONSE_CODE%', '%PROTOCOL%'])(
    'of Envoy: %s',
    (operator) => {
      expect(warned(`from ${operator}`)[0]).toMatch(
        new RegExp(`^.* is of Envoy's access log, and sent as it stands; write `),
      );
    },
  );

  test.each(['{{ .Values.message }}', '{{- include "a" . }}'])('of Helm: %s', (directive) => {
    expect(warned(`b ${directive}`)[0]).toContain('is of a template of Helm, and sent as it stands');
  });
});

test.each([
  '{"error": "denied", "code": 7, "a": {"request.path": []}}',
  'costs $5.00, $a, $1.x, {0}, {}, {{}}, {x}, {{x}}, #{x}, $(x), 100%, %20, %AB%CD%, {metadata.json}, $x.y, metadata.json',
  '<style>a{color:red} .request{x:y}</style><script>fetch(`/a`).then(r=>{response.json()}); $(document.body).hide(); $.ajax()</script>',
  'see request.path, or ask origin.ip of us',
  '$${request.path} is a text, and ${request.method} is not',
  '${{"a": "b"}["a"]}',
  "${'{request.path}'}",
  'GET,POST',
  '',
])('no near miss: %s', (source) => {
  expect(warned(source)).toEqual([]);
});

test('an end that is missing is said where the expression begins', () => {
  const said = (source: string): string[] =>
    compileText(source, ATTRIBUTES).problems.map(({ start, message }) => `${start} ${message}`);
  const message = 'the ${ that begins here has no closing }; write $${ for the two characters themselves';
  expect(said('{"a": "${request.path, "b": "${request.method}"}')).toEqual([`7 ${message}`]);
  expect(said('{"a": "${request.path", "b": 1}')).toEqual([`7 ${message}`]);
});

test('a value in a string of an expression is a near miss, another text with $ is none', () => {
  expect(textInString('"to ${request.path}" == "a"', ATTRIBUTES)).toMatchObject({
    start: 4,
    end: 19,
    message:
      '${request.path} stands in a string of an expression, and is not replaced; join texts by +: "..." + request.path',
  });
  for (const source of ['request.path.matches("^/a$")', '"${x}"', '"$request"', 'request.path'])
    expect(textInString(source, ATTRIBUTES)).toBeUndefined();
});
