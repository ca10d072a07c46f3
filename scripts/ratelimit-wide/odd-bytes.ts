/** Odd bytes: damaged text, and encodings that YAML has or has not. */
import type { Random } from '../../test/parts/random.ts';

/** Replaces, inserts or removes a byte. */
function broken(text: string, random: Random): string {
  let broken = text;
  for (let times = random.one([1, 1, 2]); times > 0; times--) {
    const at = random.below(broken.length);
    const put = random.one([
      ' ',
      '\t',
      '\n',
      ':',
      '-',
      '#',
      ',',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '|',
      '>',
      '&',
      '*',
      '!',
      '%',
      '@',
      '`',
      '?',
      '\r',
      '\r\n',
      'x',
      '\u0085',
      ': ',
      '- ',
      ' #',
      '\\',
      '\u0001',
      '\u007f',
      '\u00a0',
      '|\n',
    ]);
    broken = broken.slice(0, at) + (random.chance(4) ? '' : put) + broken.slice(at + random.below(2));
  }
  return broken;
}

/** Sometimes damages the text, and encodes it in an encoding of YAML, or in none of them. */
export function oddBytes(whole: string, random: Random): Uint8Array {
  const text = random.chance(5) ? broken(whole, random) : whole;
  if (text.startsWith('\uFEFF')) return Buffer.from(text);
  switch (random.below(40)) {
    case 0:
      return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
    case 1:
      return Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(text, 'utf16le').swap16()]);
    case 2:
      return Buffer.from(text, 'latin1');
    case 3:
      return Buffer.from(`\uFEFF${text}`);
    case 4:
      return Buffer.from(text, 'utf16le');
    case 5:
      return Buffer.from(text.replaceAll('\n', '\r\n'));
    case 6:
      return Buffer.from(text.replaceAll('\n', '\r'));
    default:
      return Buffer.from(text);
  }
}
