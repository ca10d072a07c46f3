/** Odd scalars: text, numbers and flags in every way in which YAML can write them. */
import type { Random } from '../../test/parts/random.ts';

const quoted = (text: string): string => JSON.stringify(text).replaceAll('\\ud83d\\ude00', '😀');
const single = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export class OddScalars {
  readonly #random: Random;
  readonly #isTame: boolean;
  readonly #anchors: string[] = [];

  constructor(random: Random, isTame: boolean) {
    this.#random = random;
    this.#isTame = isTame;
  }

  text(words: readonly string[]): string {
    const random = this.#random;
    const word = random.one(words);
    if (this.#isTame && !random.chance(8))
      return word === '' || /^[*{#&-]|: |[1.]5|1e3|null|~/.test(word) ? quoted(word) : word;
    switch (random.below(14)) {
      case 0:
        return single(word);
      case 1:
      case 2:
        return quoted(word);
      case 3:
        return `!!str ${word === '' ? '""' : quoted(word)}`;
      case 4:
        return random.one([
          '!!binary eA==',
          '!!binary "eHk="',
          '!!binary x',
          '! x',
          '!local x',
          '!!str 5',
          '!!int 5',
          '!!int x',
          '!!float 3',
          '!!null x',
          '!!bool yes',
          '!!timestamp 2001-1-1',
          '!!timestamp x',
          '!<tag:yaml.org,2002:int> 7',
        ]);
      case 5:
        return this.alias() ?? word;
      case 6: {
        const name = `s${this.#anchors.length}`;
        this.#anchors.push(name);
        return `&${name} ${word === '' ? '""' : quoted(word)}`;
      }
      default:
        return word;
    }
  }

  number(): string {
    const random = this.#random;
    if (this.#isTame)
      return random.one([
        '0x1F',
        '0o17',
        '017',
        '0b101',
        '1_000',
        '+5',
        '-0',
        '4294967295',
        '0X1f',
        '0O7',
        '0B11',
        '+0x2',
        '0x_1',
        '1__0',
        '1_',
        '0',
        '00',
        'null',
        '~',
        '',
        '!!int "7"',
        '!!int 0x7',
        '1 # c\n',
        '1',
        '2',
        '3',
        '4',
        '5',
      ]);
    return random.chance(3)
      ? random.one([
          '0x1F',
          '0o17',
          '017',
          '0b101',
          '1_000',
          '+5',
          '-0',
          '08',
          '1e2',
          '1.0',
          '4294967295',
          '4294967296',
          '9223372036854775808',
          '18446744073709551615',
          '18446744073709551616',
          '"5"',
          '-1',
          '0X1f',
          '0O7',
          '0B11',
          '-0b11',
          '+0x2',
          '0x_1',
          '1__0',
          '_1',
          '1_',
          '0b-1',
          '0b2',
          '0o8',
          'null',
          '~',
          'Null',
          '',
          '.5',
          '5.',
          '0',
          '00',
          '190:20:30',
          '!!int "7"',
          '!!int 0x7',
          '!!float 7',
          '!!str 7',
          'yes',
          '[]',
          '{}',
          '1 # c',
          '1#c',
        ])
      : String(random.below(9));
  }

  flag(): string {
    if (this.#isTame)
      return this.#random.one([
        'true',
        'false',
        'yes',
        'no',
        'on',
        'Off',
        'y',
        'N',
        'TRUE',
        'True',
        'null',
        '~',
        '',
        '!!bool true',
        '!!bool "on"',
      ]);
    return this.#random.one([
      'true',
      'false',
      'yes',
      'no',
      'on',
      'Off',
      'y',
      'N',
      'TRUE',
      'True',
      'null',
      '~',
      '',
      '"true"',
      '1',
      '!!bool true',
      '!!bool "on"',
      'tRUE',
      'YeS',
    ]);
  }

  alias(): string | undefined {
    return this.#anchors.length === 0 ? undefined : `*${this.#random.one(this.#anchors)}`;
  }
}
