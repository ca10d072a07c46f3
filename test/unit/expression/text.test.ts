/** Texts with `${expression}` in them (docs/rules.md, section 2, "Two ways to write a value"). */
import { describe, expect, test } from 'vitest';
import { parseIp } from '../../../src/attributes/network.ts';
import { Duration, Timestamp } from '../../../src/attributes/values.ts';
import { compileText } from '../../../src/expression/index.ts';
import { ATTRIBUTES, bagOf, textOf } from './attributes-of-tests.ts';

const problems = (source: string): string[] =>
  compileText(source, ATTRIBUTES).problems.map(({ start, end, message }) => `${start}-${end} ${message}`);

describe('texts', () => {
  test('are constant without an expression', () => {
    expect(textOf('offices only').constant).toBe('offices only');
    expect(textOf('costs $5, $${not} {x}').constant).toBe('costs $5, ${not} {x}');
    expect(textOf('').constant).toBe('');
    expect(textOf('${request.method}').constant).toBeUndefined();
  });

  test('accept every scalar type', () => {
    const ip = parseIp('203.0.113.9');
    if (ip === undefined) throw new Error('an address');
    const bag = bagOf({
      'origin.ip': ip,
      'request.size': 7,
      'response.duration': new Duration(1, 500_000_000),
      'request.time': new Timestamp(0, 0),
      'request.method': 'PUT',
    });
    expect(
      textOf(
        '${request.method} ${request.size} ${origin.ip} ${response.duration} ${request.time} ${1.5} ${true} ${9223372036854775807}',
      ).render(bag),
    ).toEqual({
      text: 'PUT 7 203.0.113.9 1.5s 1970-01-01T00:00:00Z 1.5 true 9223372036854775807',
      failed: undefined,
      isCut: false,
    });
  });

  test('control characters of values are removed, those of the text itself are kept', () => {
    const bag = bagOf({ 'request.method': 'a\r\nset-cookie: x\u0000\u007f\u0085b' });
    expect(textOf('1\n${request.method}').render(bag).text).toBe('1\naset-cookie: xb');
  });

  test('a part that fails is empty text and named', () => {
    const { text, failed } = textOf('for <${source.principal}> by ${request.method}').render(
      bagOf({ 'request.method': 'GET' }),
    );
    expect(text).toBe('for <> by GET');
    expect(failed).toBe('${source.principal}: source.principal is absent');
  });

  test('braces and quotes inside an expression do not end it', () => {
    expect(textOf('<${{"a": "}"}["a"]}>').render(bagOf({})).text).toBe('<}>');
    expect(textOf("${'it\\'s }'}").render(bagOf({})).text).toBe("it's }");
  });

  test('list all attributes that they read', () => {
    expect(
      textOf('${request.method} ${source.?principal.orValue("")}').reads.map(({ name, guarded }) => [name, guarded]),
    ).toEqual([
      ['request.method', false],
      ['source.principal', true],
    ]);
  });

  test('problems and warnings have offsets into the whole text', () => {
    expect(problems('from ${requets.method} to ${request.headers}')).toEqual([
      '7-21 unknown attribute requets.method; did you mean request.method?',
      '28-43 expected text, a number, a bool, a time or an address; found map(string, string)',
    ]);
    expect(problems('a ${request.method')).toEqual([
      '2-4 the ${ that begins here has no closing }; write $${ for the two characters themselves',
    ]);
    expect(textOf('a ${request.headers["b"]}').warnings[0]).toMatchObject({ start: 4, end: 24 });
  });
});
