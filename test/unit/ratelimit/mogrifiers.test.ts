import { describe, expect, test } from 'vitest';
import { type Mogrified, readMogrifiers } from '../../../src/ratelimit/metrics/mogrifiers.ts';
import { readSettings } from '../../../src/ratelimit/settings/settings.ts';

/** The result of one mogrifier, N, for a name. */
function mogrified(name: string, pattern: string, template: string, tags?: string): Mogrified {
  const { mogrifier, problems } = readMogrifiers('N', {
    DOG_STATSD_MOGRIFIER_N_PATTERN: pattern,
    DOG_STATSD_MOGRIFIER_N_NAME: template,
    DOG_STATSD_MOGRIFIER_N_TAGS: tags,
  });
  expect(problems).toEqual([]);
  return mogrifier(name);
}

describe('a name that matches', () => {
  test("is rewritten and tagged as in the reference's README", () => {
    expect(
      mogrified(
        'ratelimit.service.rate_limit.shop.user.path.total_hits',
        '^ratelimit\\.service\\.rate_limit\\.([^.]+)\\.(.*)\\.([^.]+)$',
        'ratelimit.service.rate_limit.$3',
        'domain:$1,descriptor:$2',
      ),
    ).toEqual({
      name: 'ratelimit.service.rate_limit.total_hits',
      tags: [
        ['domain', 'shop'],
        ['descriptor', 'user.path'],
      ],
    });
  });

  test.each([
    ['anywhere in it', 'a.b.c', 'b', 'x', 'x'],
    ['$0 is what fits', 'a.b.c', 'b', '<$0>', '<b>'],
    ['a group that took no part is empty', 'a', 'a(b)?', 'x$1y', 'xy'],
    ['a group that there is not stays', 'a', '(a)', '$1$2', 'a$2'],
    ["all digits are the group's", 'a', '(a)', '$10', '$10'],
    ['a $ before it is a $', 'a', '(a)', '$$1', '$a'],
    ['names of groups are no variables', 'a', '(?P<it>a)', '$it${1}$1', '$it${1}a'],
    ['what a group holds is not looked at again', 'a$1', '^(.*)$', '$1$1', 'a$1a$1'],
  ])('%s', (_says, name, pattern, template, becomes) => {
    expect(mogrified(name, pattern, template)).toEqual({ name: becomes, tags: [] });
  });

  test('takes the last of a repeated tag', () => {
    expect(mogrified('a', 'a', 'b', 'k:1,l:2,k:$0').tags).toEqual([
      ['k', 'a'],
      ['l', '2'],
    ]);
  });
});

test('the first mogrifier that matches decides; a name that none matches stays', () => {
  const { mogrifier } = readMogrifiers('two, one', {
    DOG_STATSD_MOGRIFIER_ONE_PATTERN: '^a',
    DOG_STATSD_MOGRIFIER_ONE_NAME: 'one',
    DOG_STATSD_MOGRIFIER_TWO_PATTERN: 'b$',
    DOG_STATSD_MOGRIFIER_TWO_NAME: 'two',
  });
  expect(['ab', 'ac', 'cb', 'cc'].map((name) => mogrifier(name).name)).toEqual(['two', 'one', 'two', 'cc']);
});

describe('settings', () => {
  const ON = { USE_DOG_STATSD: 'true', USE_DOG_STATSD_MOGRIFIERS: 'A,b' };
  const GOOD = {
    DOG_STATSD_MOGRIFIER_A_PATTERN: 'a',
    DOG_STATSD_MOGRIFIER_A_NAME: 'a',
    DOG_STATSD_MOGRIFIER_B_PATTERN: 'b',
    DOG_STATSD_MOGRIFIER_B_NAME: 'b',
  };

  test('all problems are reported at once, with their variables', () => {
    const { problems } = readSettings({
      ...ON,
      PORT: 'x',
      DOG_STATSD_MOGRIFIER_A_NAME: 'a',
      DOG_STATSD_MOGRIFIER_B_PATTERN: '(',
      DOG_STATSD_MOGRIFIER_B_TAGS: 'ok:$1,k,:v,k:,a:b:c',
    });
    expect(problems).toEqual([
      'PORT is "x"; expected a whole number',
      'DOG_STATSD_MOGRIFIER_A_PATTERN is not set; expected a regular expression (RE2)',
      expect.stringMatching(
        /^DOG_STATSD_MOGRIFIER_B_PATTERN is "\("; expected a regular expression \(RE2\): .*missing closing \)/,
      ) as string,
      'DOG_STATSD_MOGRIFIER_B_NAME is not set; expected the new name, such as requests.$1',
      ...['k', ':v', 'k:', 'a:b:c'].map(
        (tag) => `DOG_STATSD_MOGRIFIER_B_TAGS has "${tag}"; expected TAG:VALUE, separated by commas`,
      ),
    ]);
  });

  test('variables are in upper case', () => {
    const { mogrifier, problems, warnings } = readSettings({ ...ON, ...GOOD });
    expect([problems, warnings, mogrifier?.('b')]).toEqual([[], [], { name: 'b', tags: [] }]);
  });

  test.each([[{ USE_DOG_STATSD: 'false' }], [{ DISABLE_STATS: 'true' }]])(
    'where nothing is sent to DogStatsD (%j), none is read, with a warning',
    (off) => {
      expect(readSettings({ ...ON, ...off })).toMatchObject({
        mogrifier: undefined,
        problems: [],
        warnings: ['USE_DOG_STATSD_MOGRIFIERS has no effect: nothing is sent to DogStatsD'],
      });
    },
  );
});
