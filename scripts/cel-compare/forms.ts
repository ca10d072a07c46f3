/** The forms of each kind of expression that are no leaves. */
import type { Generator } from './generator.ts';
import { type Kind, ANY, NUMBERS, GETTERS, WORDS, ELEMENTS, ENTRIES } from './kinds.ts';

/** A form of the kind, made of parts of a depth. */
export function formOf(kind: Kind, depth: number, generator: Generator): string {
  const random = generator.random;
  const of = (one: Kind): string => generator.of(one, depth);
  const pick = (...forms: readonly (() => string)[]): string => random.of(forms)();
  switch (kind) {
    case 'bool':
      return pick(
        () => `(${of('bool')} ${random.of(['&&', '||'])} ${of('bool')})`,
        () => `!${of('bool')}`,
        () => generator.comparison(depth),
        () => generator.comparison(depth),
        () => generator.comparison(depth),
        () =>
          `${generator.of(random.of(NUMBERS), depth)} ${random.of(['<', '<=', '>', '>=', '==', '!='])} ${generator.of(random.of(NUMBERS), depth)}`,
        () => `${of('string')}.${random.of(['contains', 'startsWith', 'endsWith'])}(${of('string')})`,
        () => `${of('string')}.matches(${generator.textFor('pattern', depth)})`,
        () => `${random.is(0.5) ? 's' : generator.text('plain')}.matches(${generator.textFor('pattern', depth)})`,
        () => `matches(${of('string')}, ${generator.textFor('pattern', depth)})`,
        () => generator.membership(depth),
        () => generator.membership(depth),
        () => generator.has(depth),
        () => generator.macro(random.of(['all', 'exists', 'exists_one', 'existsOne']), 'bool', depth),
        () => generator.macroOfTwo(random.of(['all', 'exists', 'exists_one', 'existsOne']), 'bool', depth),
        () => `bool(${generator.textFor('bool', depth)})`,
        () => `bool(${of('bool')})`,
        () => `${random.of(['isIP', 'isCIDR'])}(${generator.textFor(random.of(['address', 'range']), depth)})`,
        () => `ip.isCanonical(${generator.textFor('address', depth)})`,
        () =>
          `${of('ip')}.${random.of(['isLoopback', 'isUnspecified', 'isGlobalUnicast', 'isLinkLocalUnicast', 'isLinkLocalMulticast'])}()`,
        () => `${of('cidr')}.containsIP(${random.is(0.5) ? of('ip') : generator.textFor('address', depth)})`,
        () => `${of('cidr')}.containsCIDR(${random.is(0.5) ? of('cidr') : generator.textFor('range', depth)})`,
        () => `math.${random.of(['isNaN', 'isInf', 'isFinite'])}(${of('double')})`,
        () => `${of(random.of(['maybeInt', 'maybeText']))}.hasValue()`,
        () => `type(${generator.of(random.of(ANY), depth)}) == ${generator.of('type', 0)}`,
      );
    case 'int':
      return pick(
        () => `(${of('int')} ${random.of(['+', '-', '*', '/', '%'])} ${of('int')})`,
        () => `(${of('int')} ${random.of(['+', '-', '*', '/', '%'])} ${of('int')})`,
        () => `${random.of(['-', '- ', '--'])}${of('int')}`,
        () =>
          `int(${generator.of(random.of(['int', 'uint', 'double', 'timestamp', 'duration', 'dyn', 'bool']), depth)})`,
        () => `int(${of('double')})`,
        () => `int(${generator.textFor('number', depth)})`,
        () => `size(${generator.of(random.of(['string', 'bytes', 'ints', 'map', 'dyn', 'strings']), depth)})`,
        () => `${generator.of(random.of(['string', 'bytes', 'ints', 'map', 'dyn', 'strings']), depth)}.size()`,
        () => `${of('timestamp')}.${random.of(GETTERS)}()`,
        () => `${of('timestamp')}.${random.of(GETTERS)}(${generator.textFor('zone', depth)})`,
        () => `${of('timestamp')}.${random.of(GETTERS)}(${generator.textFor('zone', depth)})`,
        () => `${of('duration')}.${random.of(['getHours', 'getMinutes', 'getSeconds', 'getMilliseconds'])}()`,
        () =>
          `${of('string')}.${random.of(['indexOf', 'lastIndexOf'])}(${of('string')}${random.is(0.4) ? `, ${of('int')}` : ''})`,
        () => `${of('ints')}[${of('int')}]`,
        () => `${random.of(['mu', 'mb'])}[${generator.of(random.of(['uint', 'bool', 'int', 'double']), depth)}]`,
        () => `math.${random.of(['greatest', 'least'])}(${random.is(0.3) ? of('ints') : `${of('int')}, ${of('int')}`})`,
        () =>
          `math.${random.of(['bitAnd', 'bitOr', 'bitXor', 'bitShiftLeft', 'bitShiftRight'])}(${of('int')}, ${of('int')})`,
        () => `math.${random.of(['bitNot', 'abs', 'sign'])}(${of('int')})`,
        () => `${of('ip')}.family()`,
        () => `${of('cidr')}.prefixLength()`,
        () => `${of('maybeInt')}.${random.is(0.7) ? `orValue(${of('int')})` : 'value()'}`,
      );
    case 'uint':
      return pick(
        () => `(${of('uint')} ${random.of(['+', '-', '*', '/', '%'])} ${of('uint')})`,
        () => `(${of('uint')} ${random.of(['+', '-', '*', '/', '%'])} ${of('uint')})`,
        () => `uint(${generator.of(random.of(['int', 'uint', 'double', 'dyn']), depth)})`,
        () => `uint(${of('double')})`,
        () => `uint(${generator.textFor('number', depth)})`,
        () => `${of('uints')}[${generator.of(random.of(['int', 'int', 'uint', 'double']), depth)}]`,
        () => `math.${random.of(['greatest', 'least'])}(${of('uint')}, ${of('uint')})`,
        () => `math.${random.of(['bitAnd', 'bitOr', 'bitXor'])}(${of('uint')}, ${of('uint')})`,
        () => `math.${random.of(['bitShiftLeft', 'bitShiftRight'])}(${of('uint')}, ${of('int')})`,
        () => `math.${random.of(['bitNot', 'abs', 'sign'])}(${of('uint')})`,
      );
    case 'double':
      return pick(
        () => `(${of('double')} ${random.of(['+', '-', '*', '/', '%'])} ${of('double')})`,
        () => `-${of('double')}`,
        () => `double(${generator.of(random.of(['int', 'uint', 'double', 'dyn']), depth)})`,
        () => `double(${generator.textFor('number', depth)})`,
        () => `double(${generator.textFor('number', depth)})`,
        () => `${of('doubles')}[${of('int')}]`,
        () => `math.${random.of(['ceil', 'floor', 'round', 'trunc', 'abs', 'sign', 'sqrt'])}(${of('double')})`,
        () => `math.sqrt(${generator.of(random.of(NUMBERS), depth)})`,
        () => `math.${random.of(['greatest', 'least'])}(${of('double')}, ${generator.of(random.of(NUMBERS), depth)})`,
      );
    case 'string':
      return pick(
        () => `(${of('string')} + ${of('string')})`,
        () =>
          `string(${generator.of(random.of(['bool', 'int', 'uint', 'double', 'bytes', 'timestamp', 'duration', 'string', 'ip', 'cidr', 'dyn']), depth)})`,
        () => `string(${generator.of(random.of(['double', 'bytes', 'timestamp', 'duration']), depth)})`,
        () => `${of('string')}.${random.of(['lowerAscii', 'upperAscii', 'trim', 'reverse'])}()`,
        () => `${of('string')}.charAt(${of('int')})`,
        () => `${of('string')}.substring(${of('int')}${random.is(0.5) ? `, ${of('int')}` : ''})`,
        () => `${of('string')}.replace(${of('string')}, ${of('string')}${random.is(0.4) ? `, ${of('int')}` : ''})`,
        () => `${of('strings')}.join(${random.is(0.5) ? of('string') : ''})`,
        () => `${of('strings')}[${of('int')}]`,
        () => `${of('map')}[${of('string')}]`,
        () => `mi[${generator.of(random.of(NUMBERS), depth)}]`,
        () => `ms.${random.of(WORDS)}`,
        () => `strings.quote(${of('string')})`,
        () => `base64.encode(${of('bytes')})`,
        () => `${of('maybeText')}.${random.is(0.7) ? `orValue(${of('string')})` : 'value()'}`,
        () =>
          `${generator.textFor('format', depth)}.format([${random.some(2, () => generator.of(random.of(ANY), depth)).join(', ')}])`,
        () =>
          `${generator.text('format')}.format([${generator.of(random.of([...NUMBERS, 'bool', 'string', 'bytes']), depth)}])`,
      );
    case 'bytes':
      return pick(
        () => `(${of('bytes')} + ${of('bytes')})`,
        () => `bytes(${generator.of(random.of(['string', 'bytes']), depth)})`,
        () => `base64.decode(${generator.textFor('base64', depth)})`,
      );
    case 'timestamp':
      return pick(
        () => `(${of('timestamp')} ${random.of(['+', '-'])} ${of('duration')})`,
        () => `(${of('duration')} + ${of('timestamp')})`,
        () => `timestamp(${generator.textFor('time', depth)})`,
        () => `timestamp(${generator.of(random.of(['int', 'timestamp', 'dyn']), depth)})`,
      );
    case 'duration':
      return pick(
        () => `(${of('duration')} ${random.of(['+', '-'])} ${of('duration')})`,
        () => `(${of('timestamp')} - ${of('timestamp')})`,
        () => `duration(${generator.textFor('span', depth)})`,
        () => `duration(${generator.of(random.of(['duration', 'int', 'dyn']), depth)})`,
        () => `-${of('duration')}`,
      );
    case 'ip':
      return pick(
        () => `ip(${generator.textFor('address', depth)})`,
        () => `${of('cidr')}.ip()`,
        () => `ip(${of('ip')})`,
      );
    case 'cidr':
      return pick(
        () => `cidr(${generator.textFor('range', depth)})`,
        () => `${of('cidr')}.masked()`,
      );
    case 'dyn':
      return pick(
        () => `dyn(${generator.of(random.of(ANY), depth)})`,
        () => `md.${random.of(WORDS)}`,
        () => `md[${of('string')}]`,
        () => `dy[${generator.of(random.of(['int', 'string', 'uint', 'double', 'dyn']), depth)}]`,
        () => `(${of('dyn')} ${random.of(['+', '-', '*', '/', '%'])} ${generator.of(random.of(ANY), depth)})`,
        () => `(${generator.of(random.of(ANY), depth)} ${random.of(['+', '-', '*', '/', '%'])} ${of('dyn')})`,
        () => `-${of('dyn')}`,
        () => `${of('dyns')}[${generator.of(random.of(NUMBERS), depth)}]`,
      );
    case 'type':
      return `type(${generator.of(random.of(ANY), depth)})`;
    case 'null':
      return 'null';
    case 'maybeInt':
      return pick(
        () => `optional.of(${of('int')})`,
        () => `optional.ofNonZeroValue(${of('int')})`,
        () => `mu[?${of('uint')}]`,
        () => `${of('ints')}[?${of('int')}]`,
        () => `${of('maybeInt')}.or(${of('maybeInt')})`,
        () => `${of('maybeInt')}.optMap(o, ${generator.within([{ name: 'o', kind: 'int' }], () => of('int'))})`,
        () =>
          `${of('maybeInt')}.optFlatMap(o, ${generator.within([{ name: 'o', kind: 'int' }], () => of('maybeInt'))})`,
      );
    case 'maybeText':
      return pick(
        () => `optional.of(${of('string')})`,
        () => `optional.ofNonZeroValue(${generator.of(random.of(ANY), depth)})`,
        () => `ms[?${of('string')}]`,
        () => `ms.?${random.of(WORDS)}`,
        () => `md.?${random.of(WORDS)}.?${random.of(WORDS)}`,
        () => `${of('strings')}[?${of('int')}]`,
        () => `mi[?${generator.of(random.of(NUMBERS), depth)}]`,
      );
    case 'ints':
    case 'uints':
    case 'doubles':
    case 'strings':
    case 'bools':
    case 'dyns':
    case 'lists':
      return pick(
        () => generator.list(ELEMENTS[kind], depth),
        () => `(${of(kind)} + ${of(kind)})`,
        () => `${of(kind)}.filter(n, ${generator.within([{ name: 'n', kind: ELEMENTS[kind] }], () => of('bool'))})`,
        () => generator.macro('map', ELEMENTS[kind], depth, random.is(0.3)),
        () => generator.macroOfTwo('transformList', ELEMENTS[kind], depth),
        ...(kind === 'strings'
          ? [() => `${of('string')}.split(${of('string')}${random.is(0.4) ? `, ${of('int')}` : ''})`]
          : []),
      );
    case 'map':
    case 'intKeys':
    case 'uintKeys':
    case 'boolKeys':
    case 'dynMap':
      return pick(
        () => generator.entries(ENTRIES[kind], depth),
        () => generator.macroOfTwo('transformMap', ENTRIES[kind][1], depth),
        () => generator.macroOfTwo('transformMapEntry', kind, depth),
      );
  }
}
