/** Everything that can be wrong with a file of rate limits. docs/errors.md is made from this table. */
export const RATELIMIT_ERRORS = {
  RATELIMIT_YAML: {
    means: 'The file is not YAML, or not text in UTF-8.',
    fix: 'Correct the syntax at the place that is shown. What YAML eats ({, [, *, &, !, %, @) belongs in quotes.',
  },
  RATELIMIT_FILE: {
    means: 'A file or folder of the runtime root cannot be read.',
    fix: 'See that RUNTIME_ROOT, RUNTIME_SUBDIRECTORY and RUNTIME_APPDIRECTORY name a folder that this user may read.',
  },
  RATELIMIT_UNKNOWN_KEY: {
    means: 'A key that files of rate limits do not have.',
    fix: 'Correct its spelling; docs/ratelimit.md lists the keys.',
  },
  RATELIMIT_KEY_TYPE: {
    means: 'A key is no text, or a list holds something else than maps.',
    fix: 'Quote the key, or write a map: `- key: user`.',
  },
  RATELIMIT_VALUE_TYPE: {
    means: 'A value is of a type that its key does not take.',
    fix: 'The message says what is expected: numbers and booleans without quotes, numbers with a point in quotes.',
  },
  RATELIMIT_EMPTY_DOMAIN: {
    means: 'The file names no domain.',
    fix: "Write `domain: NAME`, the domain that Envoy's filter sends.",
  },
  RATELIMIT_DUPLICATE_DOMAIN: {
    means: 'Two files are about one domain.',
    fix: 'Put their descriptors in one file, or set MERGE_DOMAIN_CONFIG=true.',
  },
  RATELIMIT_EMPTY_KEY: {
    means: 'A descriptor has no key.',
    fix: "Write `key: NAME`, the key that Envoy's action sends.",
  },
  RATELIMIT_DUPLICATE_KEY: {
    means: 'Two descriptors at one level have the same key and value.',
    fix: 'Keep one of them, with the descriptors of both below it.',
  },
  RATELIMIT_UNIT: {
    means: 'A unit of time that is none.',
    fix: 'Write second, minute, hour, day, week, month (30 days) or year (365 days).',
  },
  RATELIMIT_UNLIMITED: {
    means: 'A limit is unlimited and yet has a unit.',
    fix: 'Take `unit` away, or `unlimited`.',
  },
  RATELIMIT_REPLACES: {
    means: 'An entry of `replaces` is empty or names its own limit.',
    fix: 'Name the limit that is replaced: `replaces: [{ name: OTHER }]`.',
  },
  RATELIMIT_SHARE_THRESHOLD: {
    means: '`share_threshold` stands where nothing can be shared.',
    fix: 'Use it on a descriptor whose value has a `*`.',
  },
  RATELIMIT_SLUICE: {
    means: 'What stands under `sluice` is wrong.',
    fix: 'The message says what is expected: outage, algorithm, per, zone, burst, ended_by and also; docs/ratelimit.md shows each.',
  },
  RATELIMIT_FURTHER_DOCUMENT: {
    means: 'A file has more than one document; the first alone is read, as envoyproxy/ratelimit does.',
    fix: 'Put each further document into a file of its own.',
  },
  RATELIMIT_REPEATED_KEY: {
    means:
      'A key stands twice in one map, or `<<` brings another after it; the later one is in force, as in envoyproxy/ratelimit.',
    fix: 'Keep one of them; put `<<` before the keys that replace its own.',
  },
  RATELIMIT_NO_AMOUNT: {
    means: 'A limit has no `requests_per_unit`, which envoyproxy/ratelimit takes for 0: every request is over it.',
    fix: 'Write `requests_per_unit`, also where 0 is meant.',
  },
  RATELIMIT_MISPLACED_KEY: {
    means:
      'A known key stands where it means nothing; envoyproxy/ratelimit ignores it without a word, and so is it here.',
    fix: 'Move it to where it belongs, or take it away.',
  },
} as const;

export type RatelimitErrorCode = keyof typeof RATELIMIT_ERRORS;
